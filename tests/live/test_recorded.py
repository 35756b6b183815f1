"""Files and pipes as live sources."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import soundfile
from fakes import FakeClock, S
from stations import FakeStation

from birdwatch.audio.file import AudioFile
from birdwatch.errors import DecodeError, SourceError
from birdwatch.live import recorded
from birdwatch.live.recorded import PipeSource, RecordedSource
from birdwatch.messaging.messages import Envelope, Message, frames


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "dawn.wav"
    soundfile.write(path, np.arange(16000, dtype=np.int16), 8000)
    return path


def test_a_file_comes_whole_stamped_as_if_it_sounded(wav):
    clock = FakeClock()
    source = RecordedSource(str(wav), clock, live=False)
    assert not source.ready()
    source.open()
    chunks = []
    while not source.finished:
        chunks += source.read(0.0)
    samples = np.concatenate([chunk.samples[:, 0] for chunk in chunks])
    assert (samples * 32768).tolist() == list(range(16000))
    start = clock.now()
    assert chunks[0].stamp.utc_ns == start.utc_ns + S // 20
    assert chunks[-1].stamp.steady_ns == start.steady_ns + 2 * S


def test_realtime_waits_until_each_block_would_have_sounded(wav, monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(recorded.time, "sleep", clock.advance)
    source = RecordedSource(str(wav), clock, live=True)
    source.open()
    began = clock.now().steady_ns
    for number in range(1, 5):
        (chunk,) = source.read(0.0)
        assert chunk.stamp.steady_ns - began == pytest.approx(number * S / 20, abs=10)


def test_what_is_no_audio_is_refused_at_once(tmp_path):
    text = tmp_path / "notes.wav"
    text.write_text("no audio")
    with pytest.raises(DecodeError, match=r"notes\.wav is not audio"):
        RecordedSource(str(text), FakeClock(), live=False)


@pytest.mark.parametrize("damaged_bytes", [0, 300, 40000])
def test_what_cannot_be_decoded_is_a_gap_and_what_follows_keeps_its_time(tmp_path, damaged_bytes, caplog):
    path = tmp_path / "dawn.flac"
    soundfile.write(path, np.random.default_rng(3).normal(0, 0.1, 20 * 32000), 32000)
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + damaged_bytes] = np.random.default_rng(4).bytes(damaged_bytes)
    path.write_bytes(data)
    clock = FakeClock()
    station = FakeStation(source=RecordedSource(str(path), clock, live=False))
    station.daemon.run()
    blocks = list(AudioFile(path).blocks())
    starts, ends = [block.start_frame for block in blocks[1:]], [block.end_frame for block in blocks[:-1]]
    holes = [(end, start - end) for start, end in zip(starts, ends, strict=True) if start > end]
    assert len(holes) == (damaged_bytes > 0)
    gaps = [message for message in station.outlet.messages if message.kind == "gap"]
    assert [gap.fields["reason"] for gap in gaps] == ["damaged"] * len(holes)
    assert [gap.fields["seconds"] for gap in gaps] == [pytest.approx(size / 32000, abs=1e-3) for _, size in holes]
    assert station.listener.accounting.end_frame == blocks[-1].end_frame == 20 * 32000
    assert any("in the middle" in record.message for record in caplog.records) == bool(holes)


def test_a_name_of_any_bytes_is_text_in_messages(tmp_path, wav):
    path = wav.rename(tmp_path / os.fsdecode(b"caf\xe9.wav"))
    source = RecordedSource(str(path), FakeClock(), live=False)
    assert source.name == f"{tmp_path}/caf\\xe9.wav"
    _, body = frames(
        Message("gap", "-", {"left": os.fsdecode(b"\xe9")}), Envelope("s", source.name, "b"), seq=1, sent_ns=0
    )
    assert json.loads(body)["source"] == source.name


def pipe_of(data, **options):
    read_end, write_end = os.pipe()
    os.write(write_end, data)
    os.close(write_end)
    return PipeSource(read_end, FakeClock(), **{"rate_hz": 8000, "channels": 1, "live": False, **options})


def drain(source):
    source.open()
    chunks = []
    while not source.finished:
        chunks += source.read(1.0)
    return chunks


def test_raw_audio_from_a_pipe():
    data = np.array([0, 16384, -32768, 32767, 5, -5], "<i2").tobytes()
    mono = drain(pipe_of(data))
    assert np.concatenate([c.samples for c in mono])[:, 0].tolist() == [
        0,
        0.5,
        -1,
        32767 / 32768,
        5 / 32768,
        -5 / 32768,
    ]
    stereo = drain(pipe_of(data, channels=2))
    assert np.concatenate([c.samples for c in stereo]).shape == (3, 2)


def test_a_pipe_that_ends_before_its_first_sample_is_an_error():
    with pytest.raises(SourceError, match="ended before its first sample"):
        drain(pipe_of(b""))


def test_half_a_frame_waits_for_the_other_half():
    read_end, write_end = os.pipe()
    source = PipeSource(read_end, FakeClock(), rate_hz=8000, channels=2, live=False)
    source.open()
    os.write(write_end, b"\x01")
    assert source.read(1.0) == []
    os.write(write_end, b"\x00\x02\x00\x03")
    (chunk,) = source.read(1.0)
    assert (chunk.samples * 32768).tolist() == [[1, 2]]
    os.close(write_end)
    assert source.read(1.0) == []
    assert source.finished


def test_nothing_in_the_pipe_is_no_end():
    read_end, _ = os.pipe()
    source = PipeSource(read_end, FakeClock(), rate_hz=8000, channels=1, live=True)
    source.open()
    assert source.read(0.0) == []
    assert not source.finished


def test_a_terminal_is_no_pipe(monkeypatch):
    monkeypatch.setattr(recorded.os, "isatty", lambda _: True)
    with pytest.raises(SourceError, match="pipe something into it"):
        pipe_of(b"")


def test_nan_in_a_float_file_is_dropped_and_counted_and_the_rest_is_scored(tmp_path):
    path = tmp_path / "floats.wav"
    samples = np.sin(np.arange(30 * 32000) * 0.3).astype(np.float32)
    samples[12 * 32000 : 12 * 32000 + 500] = np.nan
    soundfile.write(path, samples, 32000, subtype="FLOAT")
    clock = FakeClock()
    station = FakeStation(source=RecordedSource(str(path), clock, live=False))
    station.daemon.run()
    accounting = station.listener.accounting
    assert station.listener.invalid_frames == 500
    assert accounting.captured == 30 * 32000
    assert accounting.dropped == 500
    assert accounting.analysed == accounting.captured - 500
    assert any("NaN or infinity" in (status["reason"] or "") for status in station.statuses)
