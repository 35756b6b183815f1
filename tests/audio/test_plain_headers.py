"""Headers of aiff, au and caf that lie about the length, as a recorder leaves them that was cut off."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import encoded

from birdwatch.audio.file import AudioFile
from birdwatch.audio.plain_headers import read_plain_header

SAMPLES = np.random.default_rng(5).integers(-9000, 9000, 64000).astype("<i2")


def lie(path: Path, form: str, said: int) -> None:
    """Write `said` bytes where the header says how many bytes of samples there are."""
    data = bytearray(path.read_bytes())
    if form == "AU":
        data[8:12] = struct.pack(">I", said)
    elif form == "AIFF":
        at = data.find(b"SSND")
        data[at + 4 : at + 8] = struct.pack(">I", said + 8)
        at = data.find(b"COMM")
        data[at + 10 : at + 14] = struct.pack(">I", said // 2)
    else:
        at = data.find(b"data")
        data[at + 4 : at + 12] = struct.pack(">q", said + 4)
    path.write_bytes(data)


@pytest.mark.parametrize("form", ["AU", "AIFF", "CAF"])
@pytest.mark.parametrize("said", [0, 44, 64000, 10**8])
def test_all_samples_are_read_whatever_the_header_says(tmp_path: Path, form: str, said: int) -> None:
    path = tmp_path / f"a.{form.lower()}"
    soundfile.write(path, SAMPLES, 32000, format=form, subtype="PCM_16")
    lie(path, form, said)
    audio = AudioFile(path)
    found = np.concatenate([block.samples for block in audio.blocks()])
    np.testing.assert_array_equal(found, SAMPLES / np.float32(32768))
    (warning,) = audio.warnings
    assert "2.0 s are there and are scored" in warning


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"])
@pytest.mark.parametrize("form", ["AU", "AIFF", "CAF"])
def test_an_honest_header_agrees_with_libsndfile(tmp_path: Path, form: str, subtype: str) -> None:
    path = tmp_path / "a"
    soundfile.write(path, np.stack([SAMPLES, -SAMPLES], axis=1)[:1001] / 32768, 44100, format=form, subtype=subtype)
    header, info = read_plain_header(path), soundfile.info(path)
    if header is None:  # left to libsndfile
        assert (form, subtype) in {(form, "ALAW"), (form, "ULAW"), ("AIFF", "DOUBLE")}
        return
    assert (header.rate_hz, header.channels, header.frames) == (info.samplerate, info.channels, info.frames)
    assert header.subtype == subtype
    assert not header.wrong_length


@pytest.mark.parametrize("share", [0.5, 0.001])
def test_a_wav_of_compressed_audio_is_read_to_its_end(tmp_path: Path, share: float) -> None:
    path = encoded(tmp_path / "a.wav", (SAMPLES / np.float32(32768)).astype(np.float32), "adpcm_ms")
    whole = sum(len(block.samples) for block in AudioFile(path).blocks())
    data = bytearray(path.read_bytes())
    at = data.find(b"data")
    (size,) = struct.unpack("<I", data[at + 4 : at + 8])
    data[at + 4 : at + 8] = struct.pack("<I", int(size * share))
    path.write_bytes(data)
    audio = AudioFile(path)
    assert sum(len(block.samples) for block in audio.blocks()) == whole
    assert "was not closed by its recorder" in audio.warnings[0]
