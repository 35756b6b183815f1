"""Initial weights from a local file: timm's names, or another EfficientNet's tensors in the same order."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from birdwatch.errors import ModelError

from .warm_start import read_exported

__all__ = ["load_initial"]

# Squeeze-and-excitation that the file lacks starts near identity: sigmoid(3) = 0.95, and hardly moved by its input.
SE_BIAS = 3.0
SE_SCALE = 0.1


def load_initial(network: nn.Module, path: Path, *, codes: Sequence[str]) -> list[str]:
    """Put a file's weights into a timm EfficientNet; returns lines that say what was loaded and what was not.

    The file is `.safetensors`, an ONNX file that birdwatch exported, or what torch.load(weights_only=True) reads: a
    state dict with timm's names, or with torchvision's or lukemelas' (whose tensors come in the same order). A stem for
    RGB is summed to the network's one channel. The head is replaced, unless the file is a checkpoint of ours for the
    same classes (`codes`, in order). Of a checkpoint with attention over time only the backbone is taken.
    Raises ModelError if nothing fits.
    """
    own = network.state_dict()
    tensors, same_head = (read_exported(path, own), False) if path.suffix == ".onnx" else _read(path, codes)
    # The backbone of a sed head has none of these.
    named = network.pretrained_cfg["classifier"]  # type: ignore[index]
    heads = (named,) if isinstance(named, str) else tuple(named or ())
    head = [name for name in own if name.startswith(tuple(f"{layer}." for layer in heads))]
    if len(set(own) & set(tensors)) < len(own) // 2:
        body = [name for name in own if name not in head]
        ported = any(name.startswith("_blocks.") for name in tensors)
        tensors = _in_order(body, own, tensors, path)
        if ported:
            _narrow_epsilon(tensors)
        same_head = False
    stem = f"{network.pretrained_cfg['first_conv']}.weight"  # type: ignore[index]
    if stem in tensors and tensors[stem].shape[1] != own[stem].shape[1] == 1:
        tensors[stem] = tensors[stem].sum(dim=1, keepdim=True)
    fitting = {
        name: tensor
        for name, tensor in tensors.items()
        if name in own and own[name].shape == tensor.shape and (same_head or name not in head)
    }
    missing = [name for name in own if name not in fitting and not name.endswith("num_batches_tracked")]
    if len(missing) > len(own) // 2:
        raise ModelError(
            f"{path} does not fit the network: it has only {len(fitting)} of the {len(own)} tensors in name and shape"
        )
    network.load_state_dict(own | fitting)
    lines = [f"{path.name}: {len(fitting)} of {len(own)} tensors loaded"]
    squeeze = [name for name in missing if ".se." in name]
    if squeeze and all(name in squeeze for name in own if ".se." in name):
        _open_squeeze(network)
        lines.append(f"squeeze-and-excitation ({len(squeeze)} tensors) is not in the file and starts near identity")
        missing = [name for name in missing if name not in squeeze]
    if missing:
        lines.append(f"not loaded, new: {', '.join(missing)}")
    unused = [name for name in tensors if name not in fitting]
    if unused:
        lines.append(f"in the file, not used: {', '.join(unused)}")
    return lines


def _read(path: Path, codes: Sequence[str]) -> tuple[dict[str, torch.Tensor], bool]:
    """The file's tensors by name, and whether its head is for the same classes."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path), False
        values = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"no initial weights {path}: {error.strerror or error}") from None
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError, SafetensorError):
        raise ModelError(f"{path} holds no weights that can be read safely (a state dict or .safetensors)") from None
    same_head = False
    if isinstance(values, Mapping) and isinstance(values.get("manifest"), Mapping):
        same_head = [label["code"] for label in values["manifest"].get("labels", [])] == list(codes)
    for key in ("state_dict", "model"):
        if isinstance(values, Mapping) and isinstance(values.get(key), Mapping):
            values = values[key]
    if not isinstance(values, Mapping) or not any(isinstance(value, torch.Tensor) for value in values.values()):
        raise ModelError(f"{path} is no state dict: expected names with tensors")
    tensors = {str(name): value for name, value in values.items() if isinstance(value, torch.Tensor)}
    for prefix in ("module.", "model."):
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    # Of one of our networks with attention over time: its backbone.
    if "attention.weight" in tensors and any(name.startswith("body.") for name in tensors):
        tensors, same_head = {name.removeprefix("body."): value for name, value in tensors.items()}, False
    return tensors, same_head


def _in_order(
    body: Sequence[str], own: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor], path: Path
) -> dict[str, torch.Tensor]:
    """Tensors under the network's names, matched in their order and checked by shape, all of `body` but perhaps SE."""
    wanted = [name for name in body if not name.endswith("num_batches_tracked")]
    names_found = [name for name in tensors if not name.endswith("num_batches_tracked")]
    if path.suffix == ".safetensors":
        # This format sorts the names. Torchvision's carry their order in numbers; others' order is lost.
        if not all(name.startswith(("features.", "classifier.")) for name in names_found):
            raise ModelError(f"{path} has neither timm's nor torchvision's names")
        names_found.sort(key=_torchvision_order)
    found = [(name, tensors[name]) for name in names_found]
    for names in (wanted, [name for name in wanted if ".se." not in name]):
        matched = dict(zip(names, (value for _, value in found), strict=False))
        wrong = [
            name
            for name, value in matched.items()
            if value.shape != own[name].shape and not (name == names[0] and value.shape[2:] == own[name].shape[2:])
        ]
        if len(matched) == len(names) and not wrong:
            return matched
    raise ModelError(f"{path} does not fit the network: neither the names nor the shapes in their order agree")


def _narrow_epsilon(tensors: dict[str, torch.Tensor]) -> None:
    """Keep what batch normalisations of TensorFlow's weights give (epsilon 1e-3) under torch's epsilon (1e-5).

    Without it, channels that hardly vary would come out up to ten times louder.
    """
    for name, variance in list(tensors.items()):
        if name.endswith(".running_var"):
            scale = name.replace("running_var", "weight")
            tensors[scale] = tensors[scale] * ((variance + 1e-5) / (variance + 1e-3)).sqrt()


def _torchvision_order(name: str) -> tuple[bool, list[tuple[int, str]], int]:
    """Sorts torchvision's names as its modules follow each other, the head last."""
    *module, leaf = name.split(".")
    parts = [(int(part), "") if part.isdigit() else (0, part) for part in module]
    return module[0] == "classifier", parts, ("weight", "bias", "running_mean", "running_var").index(leaf)


def _open_squeeze(network: nn.Module) -> None:
    for name, parameter in network.named_parameters():
        if name.endswith("se.conv_expand.bias"):
            nn.init.constant_(parameter, SE_BIAS)
        elif name.endswith("se.conv_expand.weight"):
            with torch.no_grad():
                parameter.mul_(SE_SCALE)
