"""Starting from a network that was exported: its weights, its batch normalisations, and a head by regression.

An export folds batch normalisations into convolutions, so that training could not go on from its weights alone. Here
they are unfolded again: real spectrograms give each one its statistics, and its scale and offset are set so that the
network answers as before. A new head of a teacher's starts from the ridge regression of the teacher's embeddings on the
network's features, which needs one pass over the data instead of epochs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from birdwatch.checkpoint.frontend import images_of
from birdwatch.checkpoint.network import pool_input
from birdwatch.checkpoint.sed import SedNetwork
from birdwatch.errors import ConfigError, ModelError

from .settings import Settings
from .teacher_head import TeacherHead
from .windows import Draw, Windows

__all__ = [
    "freeze",
    "frozen_stages",
    "read_exported",
    "read_exported_head",
    "ridge",
    "set_statistics",
    "start_by_ridge",
    "start_warm",
]

# torch's default; with it and a variance below 1 by as much, an unfolded normalisation begins as the identity.
EPSILON = 1e-5
LEAST_VARIANCE = 1e-8
# The exported graph calls timm's network so.
PREFIX = "body."
BATCH = 32
# Enough for means and variances; and for the ridge, whose unknowns are the 1280 features.
STATISTICS_WINDOWS = 320
RIDGE_WINDOWS = 10_000


def start_warm(
    network: nn.Module, settings: Settings, windows: Windows, draws: Sequence[Draw], pool: tuple[int, int]
) -> list[str]:
    """Unfold an exported network's batch normalisations and start a teacher's head, as `settings` say.

    draws: unaugmented windows, of which evenly spread ones are used. Returns lines that say what was done.
    """
    lines = []
    if settings.init.endswith(".onnx"):
        chosen = spread(draws, STATISTICS_WINDOWS)
        set_statistics(network, (images for images, _ in loaded(windows, chosen, pool)))
        lines.append(f"batch normalisations have the statistics of {len(chosen)} windows")
    head = getattr(network, "classifier", None)
    if settings.head_ridge and isinstance(head, TeacherHead):
        features, embeddings = [], []
        network.eval()
        for images, batch in loaded(windows, spread(draws, RIDGE_WINDOWS), pool):
            known = batch["embedding_weight"] > 0
            if known.any():
                with torch.inference_mode():
                    features.append(pooled_features(network, images[known]).numpy())
                embeddings.append(batch["embedding"][known].numpy())
        if not features:
            raise ConfigError("head_ridge needs recordings with the teacher's embeddings; there are none")
        start_by_ridge(head, np.concatenate(features), np.concatenate(embeddings), settings.head_ridge)
        lines.append(f"the head starts from the ridge regression over {sum(map(len, features))} windows")
    return lines


def pooled_features(network: Any, images: torch.Tensor) -> torch.Tensor:
    """Features `(B, features)` under the head; of a sed head their mean over the frames."""
    if isinstance(network, SedNetwork):
        return network.frames(images)[0].mean(dim=1)
    features: torch.Tensor = network.forward_head(network.forward_features(images), pre_logits=True)
    return features


def spread(draws: Sequence[Draw], most: int) -> list[Draw]:
    """At most `most` of the draws, evenly spread."""
    if len(draws) <= most:
        return list(draws)
    return [draws[i * len(draws) // most] for i in range(most)]


def loaded(
    windows: Windows, draws: Sequence[Draw], pool: tuple[int, int]
) -> Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Batches of pooled images `(B, 1, H, W)` with what the loader gives beside them."""
    for first in range(0, len(draws), BATCH):
        items = [windows[draw] for draw in draws[first : first + BATCH]]
        batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
        yield pool_input(images_of(batch["mel"].transpose(1, 2), windows.spec), pool), batch


def exported_values(path: Path) -> tuple[Any, dict[str, npt.NDArray[Any]]]:
    """An exported model's graph and the values in it by name. Raises ModelError for what is no ONNX file."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise ModelError(f"starting from {path} needs the package onnx: pip install '.[export]'") from None
    try:
        graph = onnx.load(str(path)).graph
    except (OSError, ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise ModelError(f"no network can be read from {path} ({error})") from None
    except Exception as error:  # protobuf's DecodeError has no public base class
        raise ModelError(f"{path} is no ONNX file ({error})") from None
    values: dict[str, npt.NDArray[Any]] = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    for node in graph.node:  # stored in half the bytes, and cast when it is loaded
        if node.op_type == "Cast" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    return graph, values


def read_exported(path: Path, own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of an exported EfficientNet under timm's names, every batch normalisation an identity plus an offset.

    own: the state that they are meant for. Raises ModelError where the file is no export of that network.
    """
    graph, values = exported_values(path)
    found: dict[str, torch.Tensor] = {}
    for node in graph.node:
        if node.op_type != "Conv" or len(node.input) < 3 or not node.input[1].startswith(PREFIX):
            continue
        weight = node.input[1].removeprefix(PREFIX)
        bias = torch.from_numpy(values[node.input[2]].astype(np.float32))
        found[weight] = torch.from_numpy(values[node.input[1]].astype(np.float32))
        convolution = weight.removesuffix(".weight")
        if f"{convolution}.bias" in own:
            found[f"{convolution}.bias"] = bias
            continue
        try:
            norm = norm_after(convolution)
        except (KeyError, ValueError):
            raise ModelError(
                f"{path} has a layer {convolution} that EfficientNetB0 has not; only exports of EfficientNets of its "
                "blocks can be started from"
            ) from None
        found[f"{norm}.weight"] = torch.ones_like(bias)
        found[f"{norm}.bias"] = bias
        found[f"{norm}.running_mean"] = torch.zeros_like(bias)
        found[f"{norm}.running_var"] = torch.full_like(bias, 1.0 - EPSILON)
    wanted = [name for name in own if not name.startswith("classifier.") and not name.endswith("num_batches_tracked")]
    # An empty file is an empty graph to protobuf.
    missing = [name for name in wanted if name not in found or found[name].shape != own[name].shape]
    if missing or not found:
        raise ModelError(
            f"{path} is no export of this network: {len(missing)} of {len(wanted)} tensors are missing or of another "
            f"shape{f', such as {missing[0]}' if missing else ''}"
        )
    return found


def read_exported_head(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight `(classes, features)` and bias `(classes,)` of an exported network's last layer.

    Raises ModelError where it does not end in one linear layer.
    """
    graph, values = exported_values(path)
    last = graph.node[-1] if graph.node else None
    if last is None or last.op_type != "Gemm" or any(name not in values for name in last.input[1:]):
        raise ModelError(f"{path} does not end in one linear layer; export a checkpoint of `fit` with a linear head")
    # torch exports its linear layer with transB: (classes, features) as torch has it.
    weight, bias = (torch.from_numpy(values[name].astype(np.float32)) for name in last.input[1:])
    return weight, bias


def norm_after(convolution: str) -> str:
    """timm's name of the batch normalisation behind an EfficientNet's convolution."""
    if "." not in convolution:
        return {"conv_stem": "bn1", "conv_head": "bn2"}[convolution]
    block, _, leaf = convolution.rpartition(".")
    # The first stage has no expansion, so its two normalisations count from there.
    order = ("conv_dw", "conv_pw") if block.startswith("blocks.0.") else ("conv_pw", "conv_dw", "conv_pwl")
    return f"{block}.bn{order.index(leaf) + 1}"


@torch.no_grad()
def set_statistics(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Give every batch normalisation the mean and variance of its input over `batches` of images `(B, 1, H, W)`.

    Scales and offsets follow, so that the network in eval mode answers as before; in training mode it answers nearly
    so. All normalisations are measured in the same passes, before any is changed.
    """
    sums: dict[str, list[Any]] = {}

    def hook(name: str) -> Any:
        def measure(_: nn.Module, inputs: tuple[torch.Tensor, ...], __: torch.Tensor) -> None:
            value = inputs[0].double()
            entry = sums.setdefault(name, [0, 0.0, 0.0])
            entry[0] += value.numel() // value.shape[1]
            entry[1] = entry[1] + value.sum((0, 2, 3))
            entry[2] = entry[2] + value.square().sum((0, 2, 3))

        return measure

    norms = {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    hooks = [norm.register_forward_hook(hook(name)) for name, norm in norms.items()]
    network.eval()
    for images in batches:
        network(images)
    for handle in hooks:
        handle.remove()
    for name, (count, total, squares) in sums.items():
        norm = norms[name]
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(LEAST_VARIANCE)
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        offset = norm.bias.double() - norm.running_mean.double() * scale
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.bias.copy_(offset + mean * scale)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def ridge(
    features: npt.NDArray[np.floating], targets: npt.NDArray[np.floating], penalty: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weight `(size, features)` and bias `(size,)` that map features `(n, features)` to targets `(n, size)`.

    Least squares with `penalty` times the features' mean variance on the squared weights, per window; the bias is free.
    """
    x, y = features.astype(np.float64), targets.astype(np.float64)
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x -= mean_x
    covariance = x.T @ x / len(x)
    covariance[np.diag_indices_from(covariance)] += penalty * x.var(axis=0).mean()
    weight = np.linalg.solve(covariance, x.T @ (y - mean_y) / len(x)).T
    return weight, mean_y - weight @ mean_x


@torch.no_grad()
def start_by_ridge(
    head: TeacherHead, features: npt.NDArray[np.floating], embeddings: npt.NDArray[np.floating], penalty: float
) -> None:
    """Start a teacher's head from features `(n, features)` and embeddings `(n, size)` in units of their spread."""
    weight, bias = ridge(features, embeddings, penalty)
    head.project.weight.copy_(torch.from_numpy(weight))
    head.project.bias.copy_(torch.from_numpy(bias))


def frozen_stages(network: nn.Module, stages: int) -> list[nn.Module]:
    """The stem and the first `stages` stages of a timm EfficientNet; none for 0."""
    if not stages:
        return []
    network = network.body if isinstance(network, SedNetwork) else network
    return [network.conv_stem, network.bn1, *network.blocks[:stages]]  # type: ignore[list-item, index]


def freeze(modules: Iterable[nn.Module]) -> None:
    """Keep modules as they are: no gradients, and batch normalisation by its statistics, also in training."""
    for module in modules:
        module.eval().requires_grad_(False)
