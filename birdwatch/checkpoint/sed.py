"""A head for sound event detection: attention over time, so that a long window gives scores of short segments too.

Kong et al., PANNs (2020), on a timm backbone: features are pooled over frequency by a generalised mean (GeM, Radenovic
et al., 2018), each frame gets logits and an attention weight for each class, and the weighted mean over all frames is
the window's logit. The same mean over the frames of a segment is the segment's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from birdwatch.errors import ConfigError

__all__ = ["SedAnswer", "SedNetwork", "membership"]

# The generalised mean starts between the mean (1) and the maximum (infinity).
GEM_POWER = 3.0
# Backbones' features may be 0 or below, which has no root.
LEAST = 1e-6


class SedAnswer(NamedTuple):
    """In training: logits of the window `(B, classes)`, and the highest of its frames' `(B, classes)`.

    embedding: the mean over the frames `(B, size)` of what a teacher's head gives beside its logits, None without one.
    """

    clip: torch.Tensor
    highest: torch.Tensor
    embedding: torch.Tensor | None = None


@lru_cache(maxsize=16)
def _shares(frames: int, segments: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    edges = np.arange(frames + 1) / frames
    low, high = np.arange(segments) / segments, (np.arange(segments) + 1) / segments
    shared = np.minimum(edges[1:, None], high) - np.maximum(edges[:-1, None], low)
    return np.asarray(np.maximum(shared, 0.0) * frames, np.float32)


def membership(frames: int, segments: int) -> torch.Tensor:
    """How much of each frame lies in each segment: float32 `(frames, segments)`, rows that add up to 1."""
    return torch.from_numpy(_shares(frames, segments).copy())


class SedNetwork(nn.Module):
    """Images `(B, 1, H, W)` to logits. In training `forward` gives a SedAnswer, in evaluation the window's logits."""

    def __init__(self, body: Any, classes: int, segments: int, *, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.body = body
        self.segments = segments
        self.power = nn.Parameter(torch.tensor(GEM_POWER))
        self.drop = nn.Dropout(drop_rate)
        self.attention = nn.Linear(body.num_features, classes)
        self.classifier = nn.Linear(body.num_features, classes)

    def frames(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """Features `(B, T, features)`, attention `(B, T, classes)` above 0, and logits `(B, T, classes)`.

        In training a teacher's head gives a pair instead of logits: these, and its embedding `(B, T, size)`.
        """
        maps = self.body.forward_features(images)  # (B, features, F, T)
        if maps.ndim != 4 or maps.shape[1] != self.body.num_features:
            raise ConfigError("a sed head needs a backbone that gives maps (batch, features, frequency, time)")
        pooled = maps.clamp_min(LEAST).pow(self.power).mean(dim=2).pow(1.0 / self.power)
        features = self.drop(pooled.transpose(1, 2))
        return features, torch.exp(torch.tanh(self.attention(features))), self.classifier(features)

    def forward(self, images: torch.Tensor) -> SedAnswer | torch.Tensor:
        """The window's logits `(B, classes)`; a SedAnswer in training."""
        _, attention, answer = self.frames(images)
        logits, embedding = answer if isinstance(answer, tuple) else (answer, None)
        clip: torch.Tensor = (attention * logits).sum(dim=1) / attention.sum(dim=1)
        if not self.training:
            return clip
        return SedAnswer(clip, logits.amax(dim=1), None if embedding is None else embedding.mean(dim=1))

    def outputs(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """For export: the window's logits, its embedding, and the segments' logits `(B, segments, classes)`."""
        features, attention, logits = self.frames(images)
        weighted = attention * logits
        shares = membership(logits.shape[1], self.segments).T  # (segments, T)
        parts = (shares @ weighted) / (shares @ attention)
        return weighted.sum(dim=1) / attention.sum(dim=1), features.mean(dim=1), parts
