from __future__ import annotations

import os
import struct
import time

import numpy as np
import pytest
import soundfile

from birdwatch.audio.file import AudioFile
from birdwatch.audio.wav_header import read_wav_header


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def form(rate_hz=32000, channels=1, width=2, tag=1):
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * channels * width, channels * width, 8 * width)
    )


def riff(*chunks, size=None, magic=b"RIFF"):
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack("<I", len(body) if size is None else size) + body


SAMPLES = np.random.default_rng(5).integers(-9000, 9000, 64000).astype("<i2")


def decoded(path):
    audio = AudioFile(path)
    return np.concatenate([block.samples for block in audio.blocks()]), audio.warnings


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
def test_an_honest_header_agrees_with_libsndfile(tmp_path, kind, subtype):
    path = tmp_path / "a.wav"
    data = np.stack([SAMPLES, -SAMPLES], axis=1)[:1001] / 32768
    soundfile.write(path, data, 44100, format=kind, subtype=subtype)
    header, info = read_wav_header(path), soundfile.info(path)
    assert header is not None
    assert (header.rate_hz, header.channels, header.frames) == (info.samplerate, info.channels, info.frames)
    assert header.subtype == subtype
    assert not header.wrong_length


@pytest.mark.parametrize("said", [0, 0xFFFFFFFF, 10**7])
@pytest.mark.parametrize("riff_size", [0, None])
def test_a_lying_length_gives_what_is_there_and_a_warning(tmp_path, said, riff_size):
    path = tmp_path / "dead_battery.wav"
    path.write_bytes(riff(form(), b"data" + struct.pack("<I", said) + SAMPLES.tobytes(), size=riff_size))
    samples, warnings = decoded(path)
    np.testing.assert_array_equal(samples, SAMPLES / np.float32(32768))
    (warning,) = warnings
    assert "2.0 s are there and are scored" in warning


def test_a_file_cut_off_inside_a_frame_gives_its_whole_frames(tmp_path):
    path = tmp_path / "cut.wav"
    soundfile.write(path, np.stack([SAMPLES, SAMPLES], axis=1), 32000)
    os.truncate(path, 44 + 4 * 1000 + 3)
    samples, warnings = decoded(path)
    np.testing.assert_array_equal(samples, SAMPLES[:1000] / np.float32(32768))
    assert len(warnings) == 1
    np.testing.assert_array_equal(AudioFile(path).read(0.01, 0.02), SAMPLES[320:640] / np.float32(32768))


def test_an_honestly_empty_file_does_not_take_its_metadata_for_audio(tmp_path):
    path = tmp_path / "none.wav"
    path.write_bytes(riff(form(), chunk(b"data", b""), chunk(b"LIST", b"INFOICMT\x04\0\0\0abc\0")))
    header = read_wav_header(path)
    assert header is not None
    assert (header.frames, header.wrong_length, header.comment) == (0, False, "abc")


def test_a_plain_riff_file_past_4_gib_has_all_of_its_frames(tmp_path):
    path = tmp_path / "wrapped.wav"
    real = 2**32 + 64000
    path.write_bytes(riff(form(), b"data" + struct.pack("<I", real % 2**32)))
    os.truncate(path, 44 + real)  # sparse: it takes no room
    audio = AudioFile(path)
    assert audio.frames == real // 2
    assert len(audio.read(audio.duration_s - 1, audio.duration_s)) == 32000


@pytest.mark.parametrize("told", [2**32 + 128000, 0])
def test_rf64_past_4_gib(tmp_path, told):
    path = tmp_path / "long.wav"
    real = 2**32 + 128000
    ds64 = chunk(b"ds64", struct.pack("<QQQI", real + 72, told, real // 2, 0))
    path.write_bytes(riff(ds64, form(), b"data" + b"\xff" * 4, size=0xFFFFFFFF, magic=b"RF64"))
    start = path.stat().st_size
    os.truncate(path, start + real)
    with path.open("r+b") as stream:
        stream.seek(start + real - SAMPLES.nbytes)
        stream.write(SAMPLES.tobytes())
    audio = AudioFile(path)
    assert audio.frames == real // 2
    assert bool(audio.warnings) == (told == 0)
    tail = audio.read(audio.duration_s - 2, audio.duration_s)
    np.testing.assert_array_equal(tail, SAMPLES / np.float32(32768))


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_no_cut_of_a_header_is_taken_for_anything_else(tmp_path, cut):
    path = tmp_path / "cut.wav"
    path.write_bytes(riff(form(), chunk(b"data", SAMPLES.tobytes()))[:cut])
    header = read_wav_header(path)
    assert header is None or (cut >= 44 and header.frames == (cut - 44) // 2)


def test_the_comment_and_guano_of_recorders_are_read(tmp_path):
    comment = b"Recorded at 04:30:00 13/05/2024 (UTC) by AudioMoth 24F319055FDF2F5B"
    path = tmp_path / "a.wav"
    path.write_bytes(
        riff(
            form(),
            chunk(b"LIST", b"INFO" + chunk(b"IART", b"moth\0") + chunk(b"ICMT", comment + b"\0" * 9)),
            chunk(b"data", SAMPLES.tobytes()),
            chunk(b"guan", "GUANO|Version: 1.0\nTimestamp: 2024-05-13T06:30:00+02:00\nNote: Bär\n".encode()),
        )
    )
    header = read_wav_header(path)
    assert header is not None
    assert header.comment == comment.decode()
    assert header.guano.endswith("Note: Bär")
    assert AudioFile(path).start_utc_ns() == 1715574600 * 10**9


@pytest.mark.parametrize("behind", [bytes(8), b"abcd\0\0\0\0"])
def test_rubbish_behind_the_samples_is_not_walked_through(tmp_path, behind):
    path = tmp_path / "a.wav"
    path.write_bytes(riff(form(), chunk(b"data", SAMPLES.tobytes())) + behind * 1_000_000)
    before = time.process_time()
    samples, warnings = decoded(path)
    # A walk through a million chunks takes over a second.
    assert time.process_time() - before < 0.5
    np.testing.assert_array_equal(samples, SAMPLES / np.float32(32768))
    assert warnings == []


def test_the_cases_whose_header_claims_too_little(shared_cases):
    for name in ("wav_data_size_44_10s.wav", "wav_data_size_half_10s.wav"):
        samples, (warning,) = decoded(shared_cases / name)
        assert len(samples) == 10 * AudioFile(shared_cases / name).rate_hz
        assert "10.0 s are there and are scored" in warning
