"""The sound of a moment, small enough to live inside a page."""

from __future__ import annotations

import numpy as np

from birdwatch.audio.encode import encode
from birdwatch.audio.resample import Resampler
from birdwatch.audio.types import AudioBlock, FloatArray

__all__ = ["encode_clip"]

# A rate that every browser's MP3 decoder takes; few people hear frequencies above 16 kHz.
RATE_HZ = 32000
# Full scale would clip in the encoder's ripple.
PEAK = 0.7
FADE_S = 0.02
# 45 kbit/s for noise, the hardest there is.
COMPRESSION = 0.7


def encode_clip(samples: FloatArray, rate_hz: int) -> tuple[str, bytes]:
    """Its media type and the encoded sound: mono, faded at its ends, normalised so that faint birds are audible."""
    resampler = Resampler(rate_hz, RATE_HZ)
    blocks = [*resampler.push(AudioBlock(samples, 0, rate_hz)), *resampler.finish()]
    sound = np.concatenate([block.samples for block in blocks]) if blocks else np.zeros(1, np.float32)
    sound = sound - sound.mean()
    peak = float(np.abs(sound).max())
    if peak > 0:
        sound = sound * np.float32(PEAK / peak)
    ramp = np.minimum(1.0, np.arange(len(sound)) / (FADE_S * RATE_HZ)).astype(np.float32)
    sound = sound * ramp * ramp[::-1]
    return encode(sound, RATE_HZ, compression=COMPRESSION)
