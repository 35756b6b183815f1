"""The Python API: `load_model` and `analyze`."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from birdwatch.audio.file import AudioFile
from birdwatch.config.policy import scoring_policy
from birdwatch.config.schema import Settings
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.provider_names import Provider
from birdwatch.model.registry import find_model
from birdwatch.scores.pipeline import score_recording
from birdwatch.scores.types import RecordingScores

__all__ = ["analyze", "load_model"]

log = logging.getLogger(__name__)


def load_model(path: str | os.PathLike[str] | None = None, *, provider: Provider = "auto") -> OnnxClassifier:
    """The model in the file `path`, the added model of that name, or the built-in one.

    Raises ModelError or InferenceError.
    """
    return OnnxClassifier(find_model(path), provider=provider)


def analyze(
    path: str | os.PathLike[str],
    model: OnnxClassifier | str | os.PathLike[str] | None = None,
    hop_s: float | None = None,
    *,
    settings: Settings | None = None,
) -> RecordingScores:
    """Score one recording: `.scores` `(classes,)` is the maximum over `.windows`, each with its own scores.

    model: a loaded one, or what `load_model` takes; load it once where many recordings are scored.
    hop_s: seconds from the start of one window to the next, by default that of `settings`, else half a window (2.5 s
    for the built-in model). settings: thresholds, event rules and species filter, by default those of the model; the
    configuration file is not read (`birdwatch.config.loading.Configuration` does that). `.detections` and `.events`
    follow from them, as in `birdwatch run` and `birdwatch listen`. Classes are in the order of `model.manifest.labels`.
    A truncated recording is scored to its end, with a warning in the log. Raises DecodeError for a file that is not
    audio.
    """
    model = model if isinstance(model, OnnxClassifier) else load_model(model)
    settings = settings or Settings()
    hop_s = settings.hop if hop_s is None else hop_s
    policy = scoring_policy(settings, model, week=settings.week)
    audio = AudioFile(path)
    result = score_recording(Path(path).stem, audio.blocks(), model, policy, rate_hz=audio.rate_hz, hop_s=hop_s)
    for warning in audio.warnings:
        log.warning(warning)
    return result
