"""A trained network's last layer, adapted to what recordists said: the body stays, so minutes of one core are enough.

A teacher's soft labels make a student that orders species well and is sure of none. Here each recording's species is
its label: the highest of its windows should score 1 for it and 0 for every other class, which is how `birdwatch run`
scores a recording (multiple-instance learning with the maximum). The layer's change is penalised, so that species
without recordings stay near the teacher's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from birdwatch.api import load_model
from birdwatch.audio.file import AudioFile
from birdwatch.audio.types import FloatArray
from birdwatch.checkpoint.file import Checkpoint, save_checkpoint
from birdwatch.checkpoint.network import ModelArguments, build_network, head_name
from birdwatch.errors import ConfigError, ModelError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.manifest import Manifest
from birdwatch.scores.pipeline import WindowStream, windows_of

from .card import columns_of
from .dataset import Recording
from .progress import tracked
from .reproducible import provenance
from .teach import read_labels
from .warm_start import read_exported, read_exported_head

__all__ = ["HeadOptions", "features_of", "tune_file", "tuned"]


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """How the layer is adapted.

    epochs: over the recordings. lr: of Adam, falling to 0. penalty: on the squared change of the weights, in units of
    the features' spread. windows: of each recording from its start, at most; hop_s: seconds between them.
    """

    epochs: int = 10
    lr: float = 3e-4
    penalty: float = 1e-4
    batch: int = 64
    windows: int = 12
    hop_s: float = 2.5
    seed: int = 0


def tune_file(
    model_file: Path,
    table: Path,
    recordings: Sequence[Recording],
    out: Path,
    options: HeadOptions = HeadOptions(),
    *,
    say: Callable[[str], None],
    quiet: bool = False,
) -> Checkpoint:
    """Adapt an exported model's last layer to `recordings`, which `table` names; write the checkpoint `out`.

    Raises ConfigError where the model knows none of their species, ModelError where it is no export with embeddings.
    """
    model = load_model(model_file, provider="cpu")
    if model.manifest.embedding_output is None or "network" not in model.manifest.provenance:
        raise ModelError(f"{model_file} is no network of train/ with an embedding; export a checkpoint of `fit`")
    columns = columns_of(read_labels([table]), model.manifest.labels)
    known = [item for item in recordings if item.label in columns]
    if not known:
        raise ConfigError(f"{model_file} knows none of the species in {table}; give recordings of its own species")
    found = [features_of(model, item, options) for item in tracked(known, len(known), "listening", quiet=quiet)]
    truth = np.array([columns[item.label] for item in known])
    weight, bias = read_exported_head(model_file)
    weight, bias = tuned(weight, bias, found, truth, options)
    checkpoint = with_head(model_file, model.manifest, weight, bias, options)
    save_checkpoint(out, checkpoint)
    say(f"{out}: the last layer, adapted to {len(known)} recordings of {len(set(truth.tolist()))} species")
    return checkpoint


def features_of(model: OnnxClassifier, recording: Recording, options: HeadOptions) -> FloatArray:
    """The embeddings `(windows, size)` of a recording's first windows."""
    audio = AudioFile(recording.path)
    stream = WindowStream(audio.rate_hz, model.manifest, hop_s=options.hop_s)
    windows = islice(windows_of(audio.blocks(), stream), options.windows)
    return np.array([embedding for _, embedding in model.embed_windows(windows)], np.float32)


def tuned(
    weight: torch.Tensor,
    bias: torch.Tensor,
    features: Sequence[FloatArray],
    truth: npt.NDArray[np.int64],
    options: HeadOptions,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer `(classes, size)` and `(classes,)` after training on each recording's `(windows, size)` and class."""
    generator = torch.Generator().manual_seed(options.seed)
    every = torch.from_numpy(np.concatenate(features))
    mean, spread = every.mean(0), every.std(0) + 1e-6
    scaled = [(torch.from_numpy(item) - mean) / spread for item in features]
    before = [torch.from_numpy(item) @ weight.T + bias for item in features]
    change = torch.zeros_like(weight, requires_grad=True)
    offset = torch.zeros_like(bias, requires_grad=True)
    optimizer = torch.optim.Adam([change, offset], lr=options.lr)
    steps = options.epochs * len(range(0, len(features), options.batch))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 - step / max(steps, 1))
    for _ in range(options.epochs):
        order = torch.randperm(len(features), generator=generator).tolist()
        for first in range(0, len(order), options.batch):
            numbers = order[first : first + options.batch]
            highest = torch.stack([(before[i] + scaled[i] @ change.T + offset).amax(0) for i in numbers])
            target = F.one_hot(torch.from_numpy(truth[numbers]), len(bias)).float()
            loss = F.binary_cross_entropy_with_logits(highest, target, reduction="sum") / len(numbers)
            loss = loss + options.penalty * change.square().sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    unscaled = change.detach() / spread
    return weight + unscaled, bias + offset.detach() - unscaled @ mean


def with_head(
    model_file: Path, manifest: Manifest, weight: torch.Tensor, bias: torch.Tensor, options: HeadOptions
) -> Checkpoint:
    """The exported network with another last layer, as a checkpoint for `export`."""
    arguments = ModelArguments.from_mapping(manifest.provenance["network"])
    network = build_network(arguments)
    state = network.state_dict()
    head = head_name(network)
    state |= read_exported(model_file, state) | {f"{head}.weight": weight, f"{head}.bias": bias}
    body = {name: manifest.provenance[name] for name in ("command", "checkpoints") if name in manifest.provenance}
    kept = {name: manifest.provenance[name] for name in ("trained_on", "recordings") if name in manifest.provenance}
    described = replace(manifest, provenance={**kept, **provenance(), "body": json.loads(json.dumps(body))}, probe=None)
    return Checkpoint(state, arguments, described, config=asdict(options))
