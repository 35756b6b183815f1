"""Encodes short sounds as small files in memory, for web pages."""

from __future__ import annotations

import io

import soundfile

from birdwatch.audio.types import FloatArray

__all__ = ["encode"]


def encode(samples: FloatArray, rate_hz: int, *, compression: float) -> tuple[str, bytes]:
    """Mono samples `(n,)` as a small file in memory: its media type and its bytes. compression: 0 (best) to 1 (least).

    MP3, which every browser plays (Safari plays no Ogg before 18.4); Ogg Vorbis where libsndfile lacks MP3.
    """
    if "MP3" in soundfile.available_formats():
        media_type, form, subtype = "audio/mpeg", "MP3", "MPEG_LAYER_III"
    else:
        media_type, form, subtype = "audio/ogg", "OGG", "VORBIS"
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format=form, subtype=subtype, compression_level=compression)
    return media_type, out.getvalue()
