"""Slow, obvious oracles: what the published pipeline computes, in its own libraries and in plain loops."""

from __future__ import annotations

from pathlib import Path

import cv2
import librosa
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def image(samples: FloatArray) -> FloatArray:
    """The published front end for one window: librosa and OpenCV, as in the BirdCLEF 2025 notebooks."""
    power = librosa.feature.melspectrogram(
        y=samples, sr=32000, n_fft=1024, hop_length=512, n_mels=128, fmin=50, fmax=14000, power=2.0
    )
    db = librosa.power_to_db(power, ref=np.max)
    scaled = (db - db.min()) / (db.max() - db.min() + 1e-8)
    return np.asarray(cv2.resize(scaled, (256, 256), interpolation=cv2.INTER_LINEAR), np.float32)


def window_starts(frames: int, window: int, hop: int, min_tail: int) -> list[tuple[int, int]]:
    """(start, valid frames) of every window of a recording, by trying every multiple of the hop."""
    out: list[tuple[int, int]] = []
    seen = 0
    for start in range(0, max(frames, 1), hop):
        if start + window <= frames:
            out.append((start, window))
            seen = start + window
        elif seen < frames and (frames - start >= min_tail or start == 0):
            if frames > start:
                out.append((start, frames - start))
            break
        else:
            break
    return out


def score_windows(model: Path, windows: list[FloatArray]) -> FloatArray:
    """Scores `(n, classes)` of windows, one at a time, with nothing of birdwatch in the way."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    logits = [session.run(["scores"], {name: image(window)[None, None]})[0][0] for window in windows]
    return np.asarray(1.0 / (1.0 + np.exp(-np.stack(logits).astype(np.float64))), np.float32)
