from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from small_checkpoint import small_checkpoint, write_checkpoint

from birdwatch.checkpoint.file import read_checkpoint
from birdwatch.errors import ModelError


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return small_checkpoint()


def refusal(path: Path, content: object) -> str:
    torch.save(content, path)
    with pytest.raises(ModelError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


def test_whole_checkpoint_is_read(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write_checkpoint(tmp_path / "best.pt"))
    assert checkpoint.model.arch == "test_efficientnet"
    assert checkpoint.model.input_pool == 2
    assert checkpoint.manifest.codes[:2] == ("bird0", "bird1")
    assert checkpoint.metrics["epoch"] == 3


def test_all_faults_are_in_one_message(content: dict[str, Any], tmp_path: Path) -> None:
    state = dict(content["state_dict"])
    del state["conv_stem.weight"]
    state["extra"] = torch.zeros(2)
    state["classifier.bias"] = torch.full((6,), float("nan"))
    state["classifier.weight"] = torch.zeros(6, 3)
    manifest = {**content["manifest"], "frontend": {**content["manifest"]["frontend"], "mel_scale": "htk"}}
    message = refusal(tmp_path / "bad.pt", {**content, "state_dict": state, "manifest": manifest})
    for part in (
        "lacks 1 tensors of test_efficientnet, such as 'conv_stem.weight'",
        "unknown 1 tensors of test_efficientnet, such as 'extra'",
        "classifier.bias holds NaN",
        "classifier.weight has shape (6, 3), expected (6, 256)",
        "mel_scale is 'htk'",
    ):
        assert part in message


def test_labels_and_outputs_must_agree(content: dict[str, Any], tmp_path: Path) -> None:
    manifest = {**content["manifest"], "labels": content["manifest"]["labels"][:4]}
    message = refusal(tmp_path / "bad.pt", {**content, "manifest": manifest})
    assert "6 outputs but the manifest lists 4 labels" in message


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("schema", 99, "checkpoint schema 99, this version reads 1: upgrade"),
        ("schema", "one", "its 'schema' is a str, expected int"),
        ("state_dict", [1], "its 'state_dict' is a list"),
        ("model", {"arch": "resnet_of_dreams", "num_classes": 6}, "'resnet_of_dreams', which this timm"),
        ("model", {"arch": "test_efficientnet", "num_classes": 0, "depth": 3}, "unknown model argument 'depth'"),
        ("model", {"arch": "test_efficientnet", "num_classes": 0}, "num_classes is 0"),
        ("model", {}, "missing model argument 'arch'; missing model argument 'num_classes'"),
        ("manifest", {"schema": 7}, "manifest has schema 7"),
        ("manifest", {"schema": 1}, "missing field 'labels'"),
    ],
)
def test_wrong_parts_are_refused(content: dict[str, Any], tmp_path: Path, part: str, value: object, said: str) -> None:
    assert said in refusal(tmp_path / "bad.pt", {**content, part: value})


def test_missing_parts_are_all_named(tmp_path: Path) -> None:
    message = refusal(tmp_path / "bad.pt", {"weights": torch.zeros(2)})
    for part in ("schema", "state_dict", "model", "manifest"):
        assert f"no '{part}'" in message


def test_bare_tensor_is_refused(tmp_path: Path) -> None:
    assert "holds a Tensor" in refusal(tmp_path / "bad.pt", torch.zeros(3))


class Bomb:
    """What an attacker would put into a checkpoint: a call that unpickling makes."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_code_in_a_checkpoint_is_refused_and_not_run(content: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "executed"
    message = refusal(tmp_path / "bomb.pt", {**content, "config": Bomb(target)})
    assert message.endswith(f"(it names {os.mkdir.__module__}.mkdir); nothing in it was executed")
    assert not target.exists()


def test_plain_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    target, path = tmp_path / "executed", tmp_path / "bomb.pt"
    path.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(ModelError, match="not a checkpoint, or is cut off"):
        read_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    path = write_checkpoint(tmp_path / "best.pt")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ModelError, match=r"cut off|damaged"):
        read_checkpoint(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    for name, write in {
        "text.pt": lambda path: path.write_text("not a checkpoint"),
        "empty.pt": lambda path: path.touch(),
        "folder.pt": lambda path: path.mkdir(),
        "absent.pt": lambda path: None,
        "archive.pt": lambda path: zipfile.ZipFile(path, "w").writestr("a", "b"),
    }.items():
        write(tmp_path / name)
        with pytest.raises(ModelError, match=name):
            read_checkpoint(tmp_path / name)
