"""The audio that the server of `bench streams` sends: a file of PCM or Opus."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from birdwatch.audio.types import FloatArray

__all__ = ["Codec", "write_stream"]

Codec = Literal["pcm", "opus"]
RATE_HZ = 48000
# Seconds of Opus in a page: what an encoder for live streams sends at once.
PAGE_S = 0.1


def write_stream(folder: Path, codec: Codec, seconds: float) -> Path:
    """A file in `folder` of noise with a chirp, so that no window is silent; `seconds` long."""
    rng = np.random.default_rng(4)
    second = (rng.normal(0, 0.05, RATE_HZ) + 0.2 * np.sin(np.cumsum(np.linspace(0.2, 0.8, RATE_HZ)))).astype(np.float32)
    if codec == "opus":
        return _write_opus(folder / "stream.ogg", second, round(seconds))
    path = folder / "stream.wav"
    with soundfile.SoundFile(path, "w", samplerate=RATE_HZ, channels=1, format="WAV", subtype="PCM_16") as sound:
        for _ in range(round(seconds)):
            sound.write(second)
    return path


def _write_opus(path: Path, second: FloatArray, seconds: int) -> Path:
    """Opus in pages of PAGE_S: libsndfile's last for a second, and so would every message be late.

    At a constant rate, since the server sends as many bytes each time.
    """
    import av

    with av.open(str(path), "w", format="ogg", options={"page_duration": str(round(1e6 * PAGE_S))}) as container:
        track = container.add_stream("libopus", rate=RATE_HZ, layout="mono", options={"vbr": "off"})
        frame = av.AudioFrame.from_ndarray(second[None], format="flt", layout="mono")
        frame.rate = RATE_HZ
        for number in range(seconds):
            frame.pts = number * RATE_HZ
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path
