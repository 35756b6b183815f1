"""Files that were joined (`cat one two > both`): all of them is read, at its time, and parts of them are found."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from recordings import encoded

from birdwatch.audio.file import AudioFile
from birdwatch.errors import DecodeError
from birdwatch.process import rss_mb

RATE_HZ = 32000


def tone(hz: float, seconds: float, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def pitch(samples: NDArray[np.float32], rate_hz: int) -> float:
    """The strongest frequency of samples `(n,)`, Hz."""
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))))) * rate_hz / len(samples)


def decoded(path: Path) -> tuple[NDArray[np.float32], int, list[str]]:
    audio = AudioFile(path)
    blocks = list(audio.blocks())
    samples = np.zeros(blocks[-1].end_frame, np.float32)
    for block in blocks:
        samples[block.start_frame : block.end_frame] = block.samples
    return samples, audio.rate_hz, audio.warnings


@pytest.mark.parametrize(
    ("name", "first", "second", "rates"),
    [
        ("a.ogg", "libvorbis", "libvorbis", (32000, 22050)),
        ("a.ogg", "libvorbis", "libopus", (32000, 48000)),
        ("a.mp3", "libmp3lame", "libmp3lame", (44100, 22050)),
        ("a.wv", "wavpack", "wavpack", (32000, 22050)),
        ("a.tta", "tta", "tta", (32000, 32000)),
        ("a.wma", "wmav2", "wmav2", (32000, 32000)),
        ("a.m4a", "aac", "alac", (32000, 32000)),
    ],
)
def test_parts_of_other_formats_are_converted_and_keep_their_pitch(
    tmp_path: Path, name: str, first: str, second: str, rates: tuple[int, int]
) -> None:
    whole = b""
    for number, (hz, codec, rate_hz) in enumerate(zip((500, 3000), (first, second), rates, strict=True)):
        piece = tmp_path / f"{number}{Path(name).suffix}"
        if name == "a.ogg":
            subtype = codec.removeprefix("lib").upper()
            soundfile.write(piece, tone(hz, 6, rate_hz), rate_hz, format="OGG", subtype=subtype)
        else:
            encoded(piece, tone(hz, 6, rate_hz), codec, rate_hz=rate_hz)
        whole += piece.read_bytes()
    path = tmp_path / name
    path.write_bytes(whole)
    found, rate_hz, _ = decoded(path)
    assert rate_hz == rates[0]
    assert len(found) / rate_hz == pytest.approx(12, abs=0.3)
    assert pitch(found[rate_hz : 5 * rate_hz], rate_hz) == pytest.approx(500, abs=1)
    assert pitch(found[7 * rate_hz : 11 * rate_hz], rate_hz) == pytest.approx(3000, abs=1)


@pytest.mark.parametrize("rates", [(32000, 48000), (48000, 32000), (32000, 32000), (16000, 96000), (44100, 22050)])
def test_joined_flacs_are_each_decoded_by_their_own_header(tmp_path: Path, rates: tuple[int, int]) -> None:
    whole = b""
    for hz, rate_hz, seconds in zip((500, 3000, 1000), (*rates, rates[0]), (5, 9, 3), strict=True):
        whole += encoded(tmp_path / "part.flac", tone(hz, seconds, rate_hz), "flac", rate_hz=rate_hz).read_bytes()
    path = tmp_path / "all.flac"
    path.write_bytes(whole)
    found, rate_hz, warnings = decoded(path)
    assert rate_hz == rates[0]
    assert len(found) / rate_hz == pytest.approx(17, abs=0.01)
    for start_s, hz in ((1, 500), (6, 3000), (12, 3000), (14.5, 1000)):
        part = found[round(start_s * rate_hz) : round((start_s + 1.5) * rate_hz)]
        assert pitch(part, rate_hz) == pytest.approx(hz, abs=1)
    assert not any("damaged" in line for line in warnings)


@pytest.mark.parametrize("form", ["WAV", "AIFF", "AU", "CAF"])
def test_joined_files_of_plain_samples(tmp_path: Path, form: str) -> None:
    whole = b""
    for hz in (500, 3000):
        soundfile.write(tmp_path / "part", tone(hz, 6), RATE_HZ, format=form, subtype="PCM_16")
        whole += (tmp_path / "part").read_bytes()
    path = tmp_path / "both"
    path.write_bytes(whole)
    found, _, warnings = decoded(path)
    assert len(found) / RATE_HZ == pytest.approx(12, abs=0.2)
    assert pitch(found[7 * RATE_HZ : 11 * RATE_HZ], RATE_HZ) == pytest.approx(3000, abs=1)
    assert len(warnings) == 1


def test_a_wav_of_another_rate_behind_a_wav_does_not_cost_the_first(tmp_path: Path) -> None:
    whole = b""
    for rate_hz in (32000, 44100):
        soundfile.write(tmp_path / "part.wav", tone(500, 6, rate_hz), rate_hz, subtype="PCM_16")
        whole += (tmp_path / "part.wav").read_bytes()
    path = tmp_path / "both.wav"
    path.write_bytes(whole)
    assert len(decoded(path)[0]) == 6 * 32000
    assert "0.5 MB behind its audio" in "".join(decoded(path)[2])


@pytest.mark.parametrize("name", ["a.flac", "a.ogg"])
def test_a_moment_of_a_joined_file_is_found_though_its_time_stamps_begin_again(tmp_path: Path, name: str) -> None:
    whole = b""
    for hz in (500, 3000):
        with soundfile.SoundFile(tmp_path / f"part_{name}", "w", 8000, 1) as sound:
            for _ in range(14):  # libsndfile fails on minutes of ogg in one call
                sound.write(tone(hz, 10, 8000))
        whole += (tmp_path / f"part_{name}").read_bytes()
    path = tmp_path / name
    path.write_bytes(whole)
    for start_s, hz in ((100, 500), (130, 500), (145, 3000), (270, 3000)):
        found = AudioFile(path).read(start_s, start_s + 1)
        assert len(found) == 8000
        assert pitch(found, 8000) == pytest.approx(hz, abs=2)


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.flac", "flac"), ("a.wav", "adpcm_ms")])
def test_zeros_that_fill_up_a_file_are_not_searched_for_audio(tmp_path: Path, name: str, codec: str) -> None:
    path = encoded(tmp_path / name, tone(500, 6), codec)
    whole = len(decoded(path)[0])
    before = rss_mb()
    os.truncate(path, 60_000_000)  # sparse: it takes no room
    found, _, warnings = decoded(path)
    assert len(found) == pytest.approx(whole, abs=1152)  # an mp3's padding is not cut off
    assert "MB of zeros, which are no audio" in warnings[0]
    assert rss_mb() - before < 60


def test_a_file_of_zeros_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.touch()
    os.truncate(path, 10_000_000)
    with pytest.raises(DecodeError, match="it holds nothing but zeros"):
        AudioFile(path)
