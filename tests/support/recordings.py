"""Small recordings in each container and codec that FFmpeg and libsndfile write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

__all__ = ["BY_FFMPEG", "BY_LIBSNDFILE", "encoded", "written"]

# File name -> (FFmpeg's codec, rate in Hz).
BY_FFMPEG = {
    "aac.m4a": ("aac", 32000),
    "aac.aac": ("aac", 32000),
    "aac.3gp": ("aac", 32000),
    "alac.m4a": ("alac", 32000),
    "wmav2.wma": ("wmav2", 32000),
    "wavpack.wv": ("wavpack", 32000),
    "opus.webm": ("libopus", 48000),
    "opus.opus": ("libopus", 48000),
    "mp3.mp3": ("libmp3lame", 32000),
    "flac.flac": ("flac", 32000),
    "tta.tta": ("tta", 32000),
    "adpcm.wav": ("adpcm_ms", 32000),
}
# File name -> (libsndfile's format, subtype).
BY_LIBSNDFILE = {
    "pcm16.wav": ("WAV", "PCM_16"),
    "float.wav": ("WAVEX", "FLOAT"),
    "rf64.wav": ("RF64", "PCM_24"),
    "pcm16.aiff": ("AIFF", "PCM_16"),
    "pcm16.au": ("AU", "PCM_16"),
    "pcm16.caf": ("CAF", "PCM_16"),
    "pcm16.w64": ("W64", "PCM_16"),
    "vorbis.ogg": ("OGG", "VORBIS"),
}


def encoded(
    path: Path, samples: NDArray[np.float32], codec: str, *, rate_hz: int = 32000, bit_rate: int = 64000, **options: str
) -> Path:
    """Mono samples as FFmpeg writes them; `options` are the muxer's."""
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=rate_hz)
        stream.layout = "mono"
        stream.bit_rate = bit_rate
        form = stream.codec_context.codec.audio_formats[0].name
        resampler = av.AudioResampler(format=form, layout="mono", rate=rate_hz, frame_size=stream.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = rate_hz
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def written(path: Path, samples: NDArray[np.float32]) -> Path:
    """Mono samples in the container and codec that the name of `path` has above."""
    if path.name in BY_LIBSNDFILE:
        form, subtype = BY_LIBSNDFILE[path.name]
        soundfile.write(path, samples, 32000, format=form, subtype=subtype)
        return path
    codec, rate_hz = BY_FFMPEG[path.name]
    return encoded(path, samples, codec, rate_hz=rate_hz)
