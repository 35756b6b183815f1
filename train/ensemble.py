"""Scores audio files with trained networks exactly as the daemon does: the same windows, front end and tails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from birdwatch.audio.file import AudioFile
from birdwatch.audio.types import FloatArray, Window
from birdwatch.checkpoint.file import Checkpoint, read_checkpoint
from birdwatch.checkpoint.frontend import FrontEnd
from birdwatch.checkpoint.network import activated, build_network, pool_input
from birdwatch.checkpoint.sed import SedNetwork
from birdwatch.errors import ModelError
from birdwatch.model.frontend import log_mel
from birdwatch.model.manifest import Manifest
from birdwatch.model.types import WindowScores
from birdwatch.scores.pipeline import WindowStream
from birdwatch.scores.rows import RowMean, rows_of

__all__ = ["Ensemble", "checkpoints_of", "load_ensemble"]

BATCH = 32


def checkpoints_of(path: Path) -> list[Path]:
    """The checkpoint that `path` is, or the best one of each fold of the run folder that it is."""
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("fold*/best.pt")) or sorted(path.glob("full/best.pt")) or sorted(path.glob("best.pt"))
    if not found:
        raise ModelError(f"{path} holds no fold*/best.pt; give a run folder of `fit`, or a checkpoint")
    return found


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Networks with the same labels and front end, whose scores are averaged; `checkpoint` is the first one's."""

    networks: tuple[tuple[nn.Module, tuple[int, int]], ...]  # each with its pooling
    checkpoint: Checkpoint
    device: torch.device
    # On a GPU the images are made there, too; None: by the daemon's own front end.
    front_end: FrontEnd | None = None

    @property
    def manifest(self) -> Manifest:
        """The labels and front end of all of them."""
        return self.checkpoint.manifest

    @property
    def row_frames(self) -> int:
        """Frames that a row of scores is about: a segment of a window where the networks score segments."""
        return self.manifest.window_frames // self.checkpoint.model.segments

    def score_file(self, path: Path, *, hop_s: float) -> list[WindowScores]:
        """The rows of a recording, as `birdwatch run` has them of the exported model; raises DecodeError.

        A row is a window, or a segment of windows: the mean over those that overlap there.
        """
        file = AudioFile(path)
        stream = WindowStream(file.rate_hz, self.manifest, hop_s=hop_s)

        def windows() -> Iterator[Window]:
            for block in file.blocks():
                yield from (item for item in stream.push(block) if isinstance(item, Window))
            yield from (item for item in stream.finish() if isinstance(item, Window))

        remaining = windows()
        mean = RowMean(stream.hop_frames) if self.checkpoint.model.segments > 1 else None
        scored: list[WindowScores] = []
        while batch := list(islice(remaining, BATCH)):
            for window, scores in zip(batch, self._score(batch), strict=True):
                rows = rows_of(window, scores, self.row_frames)
                scored += rows if mean is None else mean.push(rows)
        return scored if mean is None else scored + mean.finish()

    @torch.inference_mode()
    def _score(self, windows: Sequence[Window]) -> FloatArray:
        """Scores `(B, segments, classes)`."""
        spec = self.manifest.frontend
        assert spec is not None
        samples = np.stack([window.samples for window in windows])
        if self.front_end is None:
            images = torch.from_numpy(log_mel(samples, spec)).to(self.device)
        else:
            images = self.front_end(torch.from_numpy(samples).to(self.device))
        scores = torch.stack(
            [
                activated(logits_of(network, pool_input(images, pool)).float(), self.manifest.activation)
                for network, pool in self.networks
            ]
        )
        return np.asarray(scores.mean(dim=0).cpu().numpy(), np.float32)


def logits_of(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Logits `(B, segments, classes)` of pooled images; a network without segments has one."""
    if isinstance(network, SedNetwork) and network.segments > 1:
        return network.outputs(images)[2]
    logits: torch.Tensor = network(images)
    return logits[:, None]


def load_ensemble(paths: Sequence[Path], device: torch.device) -> Ensemble:
    """Load checkpoints for scoring; raises ModelError if they do not have the same labels and front end."""
    checkpoints = [read_checkpoint(path) for path in paths]
    first = checkpoints[0]
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        manifest = checkpoint.manifest
        same = (first.manifest.codes, first.manifest.frontend, first.model.segments)
        if (manifest.codes, manifest.frontend, checkpoint.model.segments) != same:
            raise ModelError(
                f"{path} has other labels, another front end or other segments than {paths[0]}; "
                "use checkpoints of one run"
            )
    networks = []
    for checkpoint in checkpoints:
        network = build_network(checkpoint.model)
        network.load_state_dict(checkpoint.state_dict)
        network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        networks.append((network, checkpoint.model.pool))
    front_end = None
    if device.type != "cpu" and first.manifest.frontend is not None:
        front_end = FrontEnd(first.manifest.frontend).to(device)
    return Ensemble(tuple(networks), first, device, front_end)
