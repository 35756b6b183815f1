"""docs/training.md, word for word: from the competition's data through two student rounds to submissions."""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from page_commands import commands, settings
from tiny_model import write_tiny_model
from train_command import command as train_command

from birdwatch.model.manifest import Label
from export.__main__ import main as export
from train.settings import read_toml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "training.md"
# What a machine without a network and with a minute to spare has instead of the page's.
SMALL = {
    " --pretrained": "",
    "--model birdnet": "--model teacher.onnx",
    "--count 30000": "--count 24",
    "examples.training $D out": "examples.training $D out --debug --arch test_efficientnet --folds 2",
    # The options of the page are the settings of a file here, but pretraining has none.
    "--out runs/others": "--out runs/others --arch test_efficientnet --input-pool 4 --epochs 1 --workers 0 --threads 1",
    "examples.miniature FOLDER mini": "examples.miniature birdclef-2025 mini --classes 2 --minutes 1",
}
SETTINGS = """
arch = "test_efficientnet"
input_pool = 4
epochs = 1
folds = 2
batch_size = 6
workers = 0
threads = 1
device = "cpu"
"""


def competition(birds: Path, folder: Path) -> None:
    """The tiny data set as the page's folder, with soundscapes, a template and all else that the page names."""
    data = folder / "birdclef-2025"
    shutil.copytree(birds, data)
    for kind, names in (("train", ("lowbird/XC02", "midbird/XC12")), ("test", ("lowbird/XC01", "highbird/XC22"))):
        (data / f"{kind}_soundscapes").mkdir()
        for number, name in enumerate(names):
            shutil.copy(data / "train_audio" / f"{name}.wav", data / f"{kind}_soundscapes" / f"{kind}{number}.wav")
    codes = ("lowbird", "midbird", "highbird")
    rows = [f"test{number}_5" for number in range(2)]
    for path, values in ((data / "sample_submission.csv", "0.3,0.3,0.3"), (folder / "annotated.csv", "1,0,0")):
        path.write_text("\n".join([f"row_id,{','.join(codes)}", *(f"{row},{values}" for row in rows)]) + "\n")
    (folder / "annotated").symlink_to(data / "test_soundscapes")
    (folder / "noises").symlink_to(data / "background")
    (folder / "others").symlink_to(data)
    labels = tuple(Label(code, f"Avis {code}") for code in codes)
    teacher = {"rate_hz": 24000, "window_frames": 72000, "input": "waveform", "frontend": None}
    write_tiny_model(folder / "teacher.onnx", labels=labels, embedding_output="centred", **teacher)


def carried_out(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command of the page; all but `birdwatch` in this process, which has torch already."""
    words = [word.replace("$D", "birdclef-2025") for word in shlex.split(command)]
    words = [found for word in words for found in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
    if words[0] == "birdwatch":
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run([sys.executable, "-m", *words], env=environment, check=False).returncode
    module, arguments = words[2], words[3:]
    if module == "train":
        return train_command(monkeypatch, *arguments)
    if module == "export":
        return export(arguments)
    assert module.startswith("examples.")
    import_module(module).main(arguments, standalone_mode=False)
    return 0


@pytest.mark.slow
def test_every_command_of_the_page_works_in_its_order(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    competition(birds, tmp_path)
    (tmp_path / "birds.toml").write_text(settings(PAGE) + SETTINGS)
    monkeypatch.chdir(tmp_path)
    for command in commands(PAGE):
        if command == "D=birdclef-2025":
            continue
        for old, new in SMALL.items():
            command = command.replace(old, new)
        assert carried_out(command, monkeypatch) == 0, f"{command}: {capsys.readouterr().err[-2000:]}"
    tables = {}
    for name in ("submission.csv", "submitted.csv"):
        with (tmp_path / name).open(newline="") as stream:
            tables[name] = list(csv.DictReader(stream))
        assert [row["row_id"] for row in tables[name]] == ["test0_5", "test1_5"]
    # The page says that `submit` is `run` with these options.
    assert tables["submission.csv"] == tables["submitted.csv"]
    assert read_toml(tmp_path / "runs/final/config.toml")["pseudo"] == "runs/r2/pseudo.csv"
    assert "| r2 |" in capsys.readouterr().out


def test_the_page_has_the_commands_of_the_whole_way() -> None:
    found = " ".join(commands(PAGE))
    for name in ("prepare", "fit", "evaluate", "student", "rounds", "teach", "vary", "submit"):
        assert f"python -m train {name}" in found
    assert "birdwatch run" in found
    assert "python -m export" in found
