"""The probe: clips generated with integer arithmetic, and the scores that a model must give for them on any machine.

The clips are the same bit for bit everywhere, so a model's manifest stores their recipe's name, not their samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from birdwatch.errors import ModelError
from birdwatch.model.manifest import Manifest
from birdwatch.model.manifest_faults import probe_faults, shown, some

__all__ = ["RECIPE", "Probe", "ProbeResult", "Scorer", "probe_clips", "replay_probe"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# Changes with any change to the clips below: a manifest that names another recipe cannot be replayed.
RECIPE = "integer-clips-1"
# Placeholder for a missing field, which is reported anyway.
DEFAULTS: Mapping[str, Any] = {"scores": (), "tolerance": 0.0, "tolerance_log_odds": 0.0, "sha256": ""}
# A turn of the tone's phase, in steps: fine enough for any pitch, coarse enough that squares of frames fit int64.
TURN = 1 << 20
# Log-odds beyond this are rounding errors.
SMALLEST_SCORE = 1e-6


@dataclass(frozen=True, slots=True)
class Probe:
    """A model's scores of the clips of `recipe` at its export.

    sha256: of the clips' samples. scores: `(clips, labels)` in 0..1. tolerance: how far a score may
    be off elsewhere; tolerance_log_odds: the same for its log-odds, which also tell small scores apart.
    """

    scores: tuple[tuple[float, ...], ...]
    tolerance: float
    tolerance_log_odds: float
    sha256: str
    recipe: str = RECIPE

    @classmethod
    def of_scores(cls, scores: FloatArray, clips: FloatArray, *, tolerance: float, tolerance_log_odds: float) -> Probe:
        """The probe of a model that answered `scores` `(clips, classes)` to `probe_clips`."""
        rows = tuple(tuple(float(f"{value:.7g}") for value in row) for row in scores)
        return cls(rows, tolerance, tolerance_log_odds, _sha256(clips))

    @classmethod
    def from_manifest(cls, values: Mapping[str, Any], classes: int) -> Probe:
        """The probe in a manifest of `classes` labels; raises ModelError with all that is wrong."""
        known = {item.name for item in fields(cls)}
        faults = some([f"unknown field {shown(name)}" for name in sorted(set(values) - known)])
        faults += [f"missing field {name!r}" for name in sorted(known - set(values))]
        if values.get("recipe", RECIPE) != RECIPE:
            faults.append(f"recipe is {shown(values['recipe'])}, this version of birdwatch makes {RECIPE!r}")
        wrong = probe_faults({name: values.get(name, default) for name, default in DEFAULTS.items()})
        faults += wrong
        rows = [] if wrong else values.get("scores", [])
        if any(len(row) != classes for row in rows):
            faults.append(f"scores have {sorted({len(row) for row in rows})} columns, the model has {classes} labels")
        if faults:
            raise ModelError("the probe in the manifest cannot be replayed: " + "; ".join(faults))
        return cls(**{**values, "scores": tuple(tuple(row) for row in rows)})

    def to_manifest(self) -> dict[str, Any]:
        """The mapping that goes into the manifest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The largest differences, over all clips and labels, between a machine's scores and the probe's."""

    clips: int
    difference: float
    difference_log_odds: float
    probe: Probe

    @property
    def passed(self) -> bool:
        """Whether this machine gives the scores of the export."""
        return self.difference <= self.probe.tolerance and self.difference_log_odds <= self.probe.tolerance_log_odds


class Scorer(Protocol):
    """A model that is ready to score, such as `birdwatch.model.classifier.OnnxClassifier`."""

    @property
    def manifest(self) -> Manifest:
        """What it is."""

    def score(self, samples: FloatArray, /) -> FloatArray:
        """Scores `(B, classes)` of samples `(B, window_frames)`."""


def replay_probe(model: Scorer) -> ProbeResult:
    """Compare what `model` answers to the probe's clips, here and now, with what its manifest says.

    Raises ModelError for a model without a probe, or with one that this version cannot make.
    """
    manifest = model.manifest
    if manifest.probe is None:
        raise ModelError(f"{manifest.name} has no probe, so its scores cannot be checked; export it again")
    probe = Probe.from_manifest(manifest.probe, len(manifest.labels))
    clips = probe_clips(manifest.window_frames)
    if _sha256(clips) != probe.sha256 or len(probe.scores) != len(clips):
        raise ModelError("the probe's clips are not those of the model's export; export it again")
    scores, expected = model.score(clips), np.array(probe.scores, np.float32)
    return ProbeResult(
        clips=len(clips),
        difference=float(np.abs(scores - expected).max()),
        difference_log_odds=float(np.abs(_log_odds(scores) - _log_odds(expected)).max()),
        probe=probe,
    )


def probe_clips(window_frames: int) -> FloatArray:
    """Clips float32 `(4, window_frames)` +-1: a song over faint noise, a trill, full-scale noise, digital silence."""
    n = np.arange(window_frames, dtype=np.int64)
    song, trill = _noise(n, seed=1) >> 9, _noise(n, seed=2) >> 8
    _add_notes(
        song, window_frames, length=window_frames // 20, gap=window_frames // 40, pitches=((98, 140), (150, 120))
    )
    _add_notes(trill, window_frames, length=window_frames // 60, gap=window_frames // 120, pitches=((230, 160),))
    clips = np.stack([song, trill, _noise(n, seed=3), np.zeros_like(n)])
    return (clips.astype(np.float32) / np.float32(32768.0)).astype(np.float32)


def _add_notes(
    clip: IntArray, window_frames: int, *, length: int, gap: int, pitches: tuple[tuple[int, int], ...]
) -> None:
    """Add sweeps of `length` frames, from one pitch to another in thousandths of the rate, one after another."""
    n = np.arange(length, dtype=np.int64)
    rise = np.minimum(np.minimum(n, length - 1 - n), length // 8)  # attack and decay
    for index, start in enumerate(range(gap, window_frames - length, max(1, length + gap))):
        low, high = (pitch * TURN // 1000 for pitch in pitches[index % len(pitches)])
        phase = (low * n + (high - low) * n * n // (2 * length)) % TURN
        clip[start : start + length] += _parabola(phase) * rise // max(1, length // 8)


def _parabola(phase: IntArray) -> IntArray:
    """A sine's look-alike of two parabolas, +-16384: no library's rounding is in it."""
    half = phase % (TURN // 2)
    arch = half * (TURN // 2 - half) // (1 << 22)  # (2 ** 19 / 2) ** 2 / 2 ** 22 = 16384
    return np.where(phase < TURN // 2, arch, -arch)


def _noise(n: IntArray, *, seed: int) -> IntArray:
    """White noise, +-32767, each frame hashed by itself (the finaliser of MurmurHash3, in 32 bits)."""
    mask = 0xFFFFFFFF
    h = (n + seed * 0x9E3779B1) & mask
    # Factors under 2 ** 31 keep every product within int64.
    for shift, factor in ((16, 0x7FEB352D), (15, 0x46CA6B35)):
        h = ((h ^ (h >> shift)) * factor) & mask
    h ^= h >> 16
    return (h >> 16) % 65535 - 32767


def _sha256(clips: FloatArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(clips, "<f4").tobytes()).hexdigest()


def _log_odds(scores: FloatArray) -> npt.NDArray[np.float64]:
    p = np.clip(scores.astype(np.float64), SMALLEST_SCORE, 1.0 - SMALLEST_SCORE)
    return np.log(p / (1.0 - p))
