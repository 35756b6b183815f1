from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import soundfile

from birdwatch.errors import DecodeError
from birdwatch.sources.file import AudioFile


def read(path, block_frames=4096):
    blocks = list(AudioFile(path).blocks(block_frames))
    for before, after in pairwise(blocks):
        assert after.start_frame == before.end_frame
    return np.concatenate([block.samples for block in blocks])


@pytest.mark.parametrize(
    ("name", "subtype", "atol"), [("a.wav", "PCM_16", 4e-5), ("a.flac", "PCM_24", 2e-7), ("a.aiff", "PCM_16", 4e-5)]
)
def test_lossless_files_come_back(tmp_path, song, name, subtype, atol):
    soundfile.write(tmp_path / name, song, 32000, subtype=subtype)
    np.testing.assert_allclose(read(tmp_path / name), song, rtol=0, atol=atol)


def test_channels_are_mixed_by_their_mean(tmp_path, song):
    soundfile.write(tmp_path / "a.wav", np.stack([song, -song / 2], axis=1), 48000, subtype="FLOAT")
    audio = AudioFile(tmp_path / "a.wav")
    assert (audio.rate_hz, audio.channels, audio.frames) == (48000, 2, len(song))
    np.testing.assert_allclose(read(tmp_path / "a.wav"), song / 4, rtol=0, atol=1e-6)


def test_integers_are_scaled_by_their_full_range(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([-32768, 16384, 32767], np.int16), 32000)
    np.testing.assert_array_equal(read(tmp_path / "a.wav"), np.float32([-1.0, 0.5, 32767 / 32768]))


def test_bad_files_say_what_is_wrong(tmp_path):
    (tmp_path / "text.wav").write_text("I am no recording")
    (tmp_path / "empty.wav").write_bytes(b"")
    soundfile.write(tmp_path / "header.wav", np.zeros(0, np.float32), 32000)
    nan = np.zeros(1000, np.float32)
    nan[320] = np.nan
    soundfile.write(tmp_path / "nan.wav", nan, 32000, subtype="FLOAT")
    for name, said in {
        "missing.wav": "no such file",
        ".": "is a folder",
        "text.wav": "is not audio that can be read",
        "empty.wav": r"is empty \(0 bytes\)",
        "header.wav": "holds no audio",
        "nan.wav": r"NaN or infinity at 0\.010 s",
    }.items():
        with pytest.raises(DecodeError, match=said):
            read(tmp_path / name)
