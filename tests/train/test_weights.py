from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from birdwatch.checkpoint.file import Checkpoint, save_checkpoint
from birdwatch.checkpoint.network import ModelArguments, build_network
from birdwatch.errors import ModelError
from birdwatch.model.frontend import FrontendSpec
from birdwatch.model.manifest import Label, Manifest
from train.weights import load_initial

CODES = ("a", "b", "c")


def fresh(seed: int = 1) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_network(ModelArguments(3)).eval()


def features(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network.forward_features(images)  # type: ignore[operator, no-any-return]


@pytest.fixture(scope="module")
def donor() -> torch.nn.Module:
    """An RGB network whose batch normalisation is not the identity."""
    torch.manual_seed(0)
    network = timm.create_model("efficientnet_b0", num_classes=1000)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
    return network.eval()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_timms_rgb_weights_see_one_channel_as_three_equal_ones(tmp_path: Path, donor, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in donor.state_dict().items()}}, path)
    else:
        save_file(donor.state_dict(), path)
    network = fresh()
    head = network.get_classifier().weight.clone()
    lines = load_initial(network, path, codes=CODES)
    image = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(
        features(network, image), features(donor, image.expand(1, 3, 64, 64)), rtol=1e-3, atol=1e-4
    )
    assert torch.equal(network.get_classifier().weight, head), "the head is new"
    assert any("not loaded, new: classifier.weight, classifier.bias" in line for line in lines)
    assert any("in the file, not used: classifier." in line for line in lines)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvisions_weights_fit_in_their_order(tmp_path: Path, suffix: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    donor = torchvision.models.efficientnet_b0(weights=None).eval()
    for name, buffer in donor.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.add_(0.1 * torch.rand_like(buffer))
    path = tmp_path / f"tv{suffix}"
    if suffix == ".pth":
        torch.save(donor.state_dict(), path)
    else:
        save_file(donor.state_dict(), path)
    network = fresh()
    lines = load_initial(network, path, codes=CODES)
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        expected = donor.features(image.expand(1, 3, 64, 64))
    torch.testing.assert_close(features(network, image), expected, rtol=1e-3, atol=1e-4)
    assert any("not loaded, new: classifier.weight, classifier.bias" in line for line in lines)


def test_a_lite_networks_weights_leave_squeeze_and_excitation_near_identity(tmp_path: Path) -> None:
    torch.manual_seed(0)
    donor = timm.create_model("tf_efficientnet_lite0", num_classes=10)
    torch.save(donor.state_dict(), tmp_path / "lite.pth")
    network = fresh()
    before = network.blocks[0][0].se.conv_expand.weight.clone()
    lines = load_initial(network, tmp_path / "lite.pth", codes=CODES)
    assert torch.equal(network.blocks[2][1].conv_dw.weight, donor.blocks[2][1].conv_dw.weight)
    se = network.blocks[0][0].se
    assert (se.conv_expand.bias == 3.0).all()
    torch.testing.assert_close(se.conv_expand.weight, 0.1 * before)
    x = torch.rand(1, 32, 8, 8)
    with torch.no_grad():
        assert ((se(x) / x) > 0.9).all()
    assert any("starts near identity" in line for line in lines)


def test_our_own_checkpoint_brings_its_head_where_the_classes_are_the_same(tmp_path: Path) -> None:
    donor = fresh(seed=9)
    manifest = Manifest("m", tuple(Label(code) for code in CODES), 32000, 160000, FrontendSpec())
    save_checkpoint(tmp_path / "best.pt", Checkpoint(donor.state_dict(), ModelArguments(3), manifest))
    same, other = fresh(), fresh()
    load_initial(same, tmp_path / "best.pt", codes=CODES)
    load_initial(other, tmp_path / "best.pt", codes=("c", "b", "a"))
    assert torch.equal(same.get_classifier().weight, donor.get_classifier().weight)
    assert torch.equal(other.get_classifier().weight, fresh().get_classifier().weight)
    assert torch.equal(other.conv_stem.weight, donor.conv_stem.weight)


@pytest.mark.parametrize("head", ["linear", "sed"])
def test_a_backbone_with_attention_over_time_starts_either_head(tmp_path: Path, head: str) -> None:
    torch.manual_seed(9)
    arguments = ModelArguments(3, head="sed")
    donor = build_network(arguments)
    manifest = Manifest("m", tuple(Label(code) for code in CODES), 32000, 160000, FrontendSpec())
    save_checkpoint(tmp_path / "best.pt", Checkpoint(donor.state_dict(), arguments, manifest))
    torch.manual_seed(1)
    network = build_network(ModelArguments(3, head=head)).eval()
    body = network.body if head == "sed" else network
    lines = load_initial(body, tmp_path / "best.pt", codes=CODES)
    images = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(features(body, images), features(donor.eval().body, images))
    assert any("not used: power, attention.weight" in line for line in lines)


@pytest.mark.parametrize("arch", ["resnetv2_18", "deit_tiny_distilled_patch16_224"])
def test_heads_that_are_not_one_linear_layer_are_replaced_too(tmp_path: Path, arch: str) -> None:
    donor = timm.create_model(arch, num_classes=5)
    torch.save(donor.state_dict(), tmp_path / "w.pth")
    network = build_network(ModelArguments(3, arch))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_initial(network, tmp_path / "w.pth", codes=CODES)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert not [name for name in changed if name.startswith("head")]
    stem = f"{network.pretrained_cfg['first_conv']}.weight"
    torch.testing.assert_close(network.state_dict()[stem], donor.state_dict()[stem].sum(dim=1, keepdim=True))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no initial weights"):
        load_initial(fresh(), tmp_path / "none.pth", codes=CODES)
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(ModelError, match="no weights that can be read safely"):
        load_initial(fresh(), tmp_path / "text.pth", codes=CODES)
    (tmp_path / "text.safetensors").write_text("weights")
    with pytest.raises(ModelError, match="no weights that can be read safely"):
        load_initial(fresh(), tmp_path / "text.safetensors", codes=CODES)
    torch.save({"epoch": 3}, tmp_path / "state.pth")
    with pytest.raises(ModelError, match="no state dict"):
        load_initial(fresh(), tmp_path / "state.pth", codes=CODES)
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(ModelError, match="does not fit the network"):
        load_initial(fresh(), tmp_path / "resnet.pth", codes=CODES)
