"""Synthetic songs of some garden birds, as sound and as gray spectrograms: nothing recorded by anybody is in them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import soundfile
from numpy.typing import NDArray

__all__ = ["RATE_HZ", "flac", "levels", "png", "recording", "song"]

RATE_HZ = 24000
FFT_FRAMES = 1024


@dataclass(frozen=True, slots=True)
class Note:
    """A tone that glides from one frequency to another, optionally with vibrato."""

    start_s: float
    seconds: float
    from_hz: float
    to_hz: float
    gain: float = 1.0
    overtones: int = 1
    vibrato_hz: float = 0.0


def _blackbird(rng: np.random.Generator) -> Iterator[Note]:
    at = 0.0
    for _ in range(int(rng.integers(5, 8))):
        seconds = rng.uniform(0.16, 0.34)
        low = rng.uniform(1500, 2900)
        yield Note(at, seconds, low, low * rng.uniform(0.8, 1.3), overtones=2, vibrato_hz=rng.choice([0, 0, 9]))
        at += seconds + rng.uniform(0.02, 0.09)
    for step in range(7):
        yield Note(at + step * 0.06, 0.05, rng.uniform(4500, 7600), rng.uniform(4500, 7600), 0.3)


def _robin(rng: np.random.Generator) -> Iterator[Note]:
    at = 0.0
    for _ in range(6):
        high = rng.uniform(3000, 7800)
        for step in range(int(rng.integers(1, 6))):
            yield Note(at, 0.07, high, high * rng.uniform(0.7, 1.25), 1 - step * 0.09)
            at += rng.uniform(0.07, 0.12)
        at += rng.uniform(0.02, 0.12)


def _trill(rng: np.random.Generator) -> Iterator[Note]:
    at = 0.0
    for high, times, gap in ((5200, 7, 0.1), (6800, 16, 0.045), (4300, 6, 0.12), (7300, 13, 0.05)):
        for _ in range(times):
            yield Note(at, gap * 0.75, high * rng.uniform(0.99, 1.03), high * 0.78)
            at += gap


def _two_notes(rng: np.random.Generator) -> Iterator[Note]:
    high = rng.uniform(5000, 5900)
    for step in range(6):
        yield Note(step * 0.42, 0.13, high, high * 0.99, overtones=2)
        yield Note(step * 0.42 + 0.18, 0.17, high * 0.7, high * 0.69, overtones=2)


def _chiffchaff(rng: np.random.Generator) -> Iterator[Note]:
    for step in range(10):
        high = rng.choice([6600, 5900, 5400])
        yield Note(step * 0.33, 0.05, high, 4700)
        yield Note(step * 0.33 + 0.05, 0.06, 4700, 3500, 0.9)


def _chaffinch(rng: np.random.Generator) -> Iterator[Note]:
    at, high = 0.0, 6900.0
    for step in range(13):
        yield Note(at, 0.08, high, high * 0.6)
        at += 0.19 - 0.008 * step
        high *= 0.955
    yield Note(at, 0.1, 3000, 6000)
    yield Note(at + 0.11, 0.18, 5600, 2400)


def _pigeon(rng: np.random.Generator) -> Iterator[Note]:
    at = 0.0
    for seconds in (0.25, 0.6, 0.5, 0.22, 0.25) * 2:
        yield Note(at, seconds, 520, 490, overtones=3)
        at += seconds + 0.14


def _owl(rng: np.random.Generator) -> Iterator[Note]:
    yield Note(0, 0.7, 760, 830, overtones=3)
    yield Note(2.1, 0.18, 780, 790, overtones=2)
    yield Note(2.45, 1.5, 800, 830, overtones=3, vibrato_hz=13)


def _cuckoo(rng: np.random.Generator) -> Iterator[Note]:
    for step in range(5):
        yield Note(step * 1.15, 0.22, 690, 680, overtones=3)
        yield Note(step * 1.15 + 0.4, 0.34, 560, 550, overtones=3)


def _swift(rng: np.random.Generator) -> Iterator[Note]:
    for step in range(3):
        yield Note(step * 1.3, 1.0, 5400, rng.uniform(6000, 6700), overtones=1, vibrato_hz=42)


def _sparrow(rng: np.random.Generator) -> Iterator[Note]:
    at = 0.0
    for _ in range(7):
        low = rng.uniform(2600, 3600)
        yield Note(at, 0.07, low, low * 1.6, overtones=3)
        yield Note(at + 0.07, 0.08, low * 1.6, low, overtones=3)
        at += rng.uniform(0.35, 0.6)


def _drum(rng: np.random.Generator) -> Iterator[Note]:
    for step in range(14):
        yield Note(step * 0.045, 0.014, 1200, 700, 1.6 - step * 0.07, overtones=4)


def _warbler(rng: np.random.Generator) -> Iterator[Note]:
    at = 0.0
    for _ in range(28):
        low = rng.uniform(1900, 5200)
        seconds = rng.uniform(0.05, 0.12)
        yield Note(at, seconds, low, low * rng.uniform(0.65, 1.6), rng.uniform(0.5, 1), overtones=2)
        at += seconds + rng.uniform(0.005, 0.04)


def _thrush(rng: np.random.Generator) -> Iterator[Note]:
    at = 0.0
    for _ in range(3):
        motif = [(rng.uniform(2000, 5500), rng.uniform(0.7, 1.4), rng.uniform(0.07, 0.16)) for _ in range(2)]
        for _ in range(3):
            for low, ratio, seconds in motif:
                yield Note(at, seconds, low, low * ratio, overtones=2)
                at += seconds + 0.03
            at += 0.1
        at += 0.15


SONGS = {
    "eurbla": _blackbird,
    "eurrob1": _robin,
    "winwre4": _trill,
    "gretit1": _two_notes,
    "comchi1": _chiffchaff,
    "comcha": _chaffinch,
    "cowpig1": _pigeon,
    "tawowl1": _owl,
    "comcuc": _cuckoo,
    "comswi": _swift,
    "houspa": _sparrow,
    "grswoo": _drum,
    "blackc1": _warbler,
    "sonthr1": _thrush,
    "comred2": _warbler,
}


def song(code: str, seed: int) -> NDArray[np.float32]:
    """(n,) float32 at RATE_HZ: one song of a species; species without a song of their own sing as robins do."""
    rng = np.random.default_rng(seed)
    notes = list(SONGS.get(code, _robin)(rng))
    out = np.zeros(int((max(note.start_s + note.seconds for note in notes) + 0.1) * RATE_HZ))
    for note in notes:
        t = np.arange(int(note.seconds * RATE_HZ)) / RATE_HZ
        part = t / note.seconds
        hz = note.from_hz + (note.to_hz - note.from_hz) * part
        hz = hz * (1 + (0.05 * np.sin(2 * np.pi * note.vibrato_hz * t) if note.vibrato_hz else 0))
        phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
        tone = sum(np.sin(k * phase) * 0.22 ** (k - 1) for k in range(1, note.overtones + 1))
        first = int(note.start_s * RATE_HZ)
        out[first : first + len(t)] += note.gain * tone * np.sin(np.pi * part) ** 0.7
    return (0.2 * out).astype(np.float32)


def recording(songs: list[tuple[str, float, float]], seconds: float, seed: int) -> NDArray[np.float32]:
    """(n,) float32: songs as (code, start_s, gain) over wind and hiss."""
    rng = np.random.default_rng(seed)
    count = int(seconds * RATE_HZ)
    wind = np.cumsum(rng.normal(0, 1, count))
    wind -= np.convolve(wind, np.ones(801) / 801, "same")
    out = 0.004 * rng.normal(0, 1, count) + 0.012 * wind / np.std(wind)
    for number, (code, start_s, gain) in enumerate(songs):
        sung = song(code, seed + number) * gain
        first = int(start_s * RATE_HZ)
        sung = sung[: max(0, count - first)]
        out[first : first + len(sung)] += sung
    return out.astype(np.float32)


def levels(samples: NDArray[np.float32], *, bands: int, hop_s: float) -> NDArray[np.uint8]:
    """(columns, bands) uint8: level by mel band, the lowest first."""
    hop = int(hop_s * RATE_HZ)
    padded = np.pad(samples, (0, FFT_FRAMES), mode="reflect")
    parts = np.lib.stride_tricks.sliding_window_view(padded, FFT_FRAMES)[::hop][: len(samples) // hop]
    power = np.abs(np.fft.rfft(parts * np.hanning(FFT_FRAMES))) ** 2
    if hop_s > 0.05:  # The louder of two neighbours, so that short notes are in a slow picture too.
        half = np.lib.stride_tricks.sliding_window_view(padded, FFT_FRAMES)[hop // 2 :: hop][: len(parts)]
        power = np.maximum(power, np.abs(np.fft.rfft(half * np.hanning(FFT_FRAMES))) ** 2)
    mel = np.linspace(2595 * np.log10(1 + 150 / 700), 2595 * np.log10(1 + 11000 / 700), bands + 1)
    edges = 700 * (10 ** (mel / 2595) - 1) / RATE_HZ * FFT_FRAMES
    columns = [power[:, int(low) : max(int(low) + 1, int(high) + 1)].mean(axis=1) for low, high in pairwise(edges)]
    decibels = 10 * np.log10(np.stack(columns, axis=1) + 1e-9)
    return np.clip((decibels + 22) * 255 / 58, 0, 255).astype(np.uint8)


def png(picture: NDArray[np.uint8]) -> bytes:
    """A gray picture (columns, bands) as PNG, the lowest band at the bottom."""
    rows = picture.T[::-1]
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 8, 0, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(raw, 6)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def flac(samples: NDArray[np.float32]) -> bytes:
    """The samples as a FLAC file."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="FLAC")
    return file.getvalue()
