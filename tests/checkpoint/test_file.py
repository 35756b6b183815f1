import json
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F

from birdwatch.checkpoint.file import Checkpoint, read_checkpoint, save_checkpoint
from birdwatch.checkpoint.network import ModelArguments, build_network, pool_input
from birdwatch.errors import ConfigError, ModelError, SinkError
from birdwatch.model.frontend import FrontendSpec
from birdwatch.model.manifest import Label, Manifest


def make(classes: int = 3, labels: int = 3, input_pool: int = 2, input_pool_time: int = 0) -> Checkpoint:
    torch.manual_seed(0)
    arguments = ModelArguments(classes, input_pool=input_pool, input_pool_time=input_pool_time)
    manifest = Manifest("test", tuple(Label(f"bird{i}") for i in range(labels)), 32000, 160000, FrontendSpec())
    return Checkpoint(build_network(arguments).state_dict(), arguments, manifest, {"auc": None}, {"epochs": 1})


@pytest.mark.slow
@pytest.mark.parametrize(("time", "pool"), [(0, (2, 2)), (1, (2, 1))])
def test_the_network_is_rebuilt_with_timm_alone_as_the_docstring_says(
    tmp_path: Path, time: int, pool: tuple[int, int]
) -> None:
    original = make(input_pool_time=time)
    save_checkpoint(tmp_path / "a.pt", original)
    checkpoint = torch.load(tmp_path / "a.pt", weights_only=True)
    model = checkpoint["model"]
    network = timm.create_model(
        model["arch"], pretrained=False, in_chans=model["in_chans"], num_classes=model["num_classes"]
    )
    network.load_state_dict(checkpoint["state_dict"])
    ours = build_network(original.model)
    ours.load_state_dict(original.state_dict)
    images = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        pooled = F.avg_pool2d(images, (model["input_pool"], model["input_pool_time"] or model["input_pool"]))
        expected = network.eval()(pooled)
        assert pooled.shape == (1, 1, 64 // pool[0], 64 // pool[1])
        assert torch.equal(ours.eval()(pool_input(images, original.model.pool)), expected)
    assert expected.shape == (1, 3)
    assert Manifest.from_json(json.dumps(checkpoint["manifest"])) == original.manifest
    loaded = read_checkpoint(tmp_path / "a.pt")
    assert (loaded.model, loaded.manifest, loaded.metrics) == (original.model, original.manifest, {"auc": None})


def test_no_pooling_leaves_the_images_alone() -> None:
    images = torch.rand(1, 1, 8, 8)
    assert pool_input(images, (1, 1)) is images


def test_classes_and_labels_must_agree() -> None:
    with pytest.raises(ModelError, match="3 classes but its manifest lists 2 labels"):
        make(3, 2)


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    path = tmp_path / "last.pt"
    save_checkpoint(path, make())
    before = path.read_bytes()
    (tmp_path / ".last.pt.part").symlink_to("/dev/full")
    with pytest.raises(SinkError, match=r"No space left.*nothing there was changed"):
        save_checkpoint(path, make(4, 4))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ConfigError, match="efficientnet_b99"):
        build_network(ModelArguments(2, arch="efficientnet_b99"))
