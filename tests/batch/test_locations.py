"""Places elsewhere: what is listed, read and refused, over memory:// and a web server that fails as told."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from web_folder import web_folder

from birdwatch.audio.isolated import Decoders
from birdwatch.batch import fetching, locations
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import look_at
from birdwatch.batch.locations import check_url, entries, read_blocks, read_range, state_of
from birdwatch.batch.named_inputs import Input
from birdwatch.batch.scratch import Scratch
from birdwatch.batch.staging import Staging
from birdwatch.errors import ConfigError, SinkError, SourceError

URL = "memory://season"


def wav(seconds: float = 1.0, rate_hz: int = 32000) -> bytes:
    stream = io.BytesIO()
    samples = np.random.default_rng(1).normal(0, 0.1, round(seconds * rate_hz)).astype(np.float32)
    soundfile.write(stream, samples, rate_hz, format="WAV", subtype="PCM_16")
    return stream.getvalue()


def names(url: str, **options: Any) -> list[str]:
    return [item.name for item in find_inputs([url], **options)]


def paths(url: str, **options: Any) -> list[str]:
    return [str(item.path) for item in find_inputs([url], **options)]


def test_a_folder_elsewhere_is_listed_as_the_same_folder_here(memory, tmp_path):
    for name in ("b.wav", "b.flac", "may/a.WAV", "may.wav", "may-2/c.wav", "may/._a.wav", "n.txt", "june/x/a.ogg"):
        memory.pipe(f"/season/{name}", b"x")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for options in ({}, {"recursive": False}, {"include": ["*.wav"]}, {"include": ["may/*"]}):
        here = find_inputs([str(tmp_path)], **options)
        there = find_inputs([URL], **options)
        assert [item.name for item in there] == [item.name for item in here]
        assert [item.path for item in there] == [item.path.relative_to(tmp_path) for item in here]
        assert [item.url for item in there] == [f"{URL}/{item.path.as_posix()}" for item in there]
    assert names(URL + "/may/a.WAV") == ["a"]
    assert names(URL, recursive=False) == ["b.flac", "b.wav", "may"]


def test_what_a_search_elsewhere_leaves_out_is_named(memory):
    for name in ("a.wav", ".hidden/b.wav", ".c.wav", "d.wac", "$RECYCLE.BIN/e.wav"):
        memory.pipe(f"/season/{name}", b"x")
    said: list[str] = []
    assert names(URL, notice=said.append) == ["a"]
    assert [line.partition(": ")[2] for line in said] == [
        "left out: a hidden file: memory://season/.c.wav",
        "left out: a hidden folder: memory://season/.hidden",
        "left out: a recording in a format that cannot be read (.wac): memory://season/d.wac",
        "left out: a recycle bin or system folder: memory://season/$RECYCLE.BIN",
    ]


def test_the_same_key_in_two_folders_gets_longer_names_and_paths(memory):
    memory.pipe("/x/may/a.wav", b"x")
    memory.pipe("/y/may/a.wav", b"x")
    found = find_inputs(["memory://x", "memory://y", "memory://x/may/a.wav"])
    assert [item.name for item in found] == ["x/may/a.wav", "y/may/a.wav"]
    assert [str(item.path) for item in found] == ["x/may/a.wav", "y/may/a.wav"]


def test_keys_that_no_disk_can_have(memory):
    memory.pipe("/season/" + "x" * 400 + ".wav", b"x")
    (path,) = paths(URL)
    assert len(path) == 255
    assert path.endswith(".wav")


def test_an_empty_folder_and_a_missing_one(memory):
    memory.mkdir("/season")
    with pytest.raises(ConfigError, match="memory://season holds no recording"):
        names(URL)
    with pytest.raises(ConfigError, match="memory://nowhere/: no such file"):
        names("memory://nowhere/")
    (missing,) = find_inputs(["memory://season/a.wav"])
    ((job,),) = look_at([missing])
    assert job.fault == "a.wav: no such file"


def test_a_list_may_name_places_elsewhere(memory, tmp_path):
    memory.pipe("/season/a.wav", b"x")
    (tmp_path / "list.txt").write_text(f"{URL}/a.wav\n{tmp_path}/b.wav\n")
    assert names(f"@{tmp_path}/list.txt") == ["a", "b"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://key:hidden@bucket/a.wav", "credentials"),
        ("http://hidden@host/a.wav", "credentials"),
        ("https://host/a.wav?sig=hidden", "signature"),
        ("https://host/a.wav?hidden", "signature"),
        ("az://c/a.wav?sv=1&SharedAccessSignature=hidden", "signature"),
        ("zip://a::memory://hidden", "chains"),
        ("http://[hidden/a.wav", "not a URL"),
        ("nosuch://bucket/a.wav", "cannot be used"),
    ],
)
def test_urls_that_are_refused(url, said):
    with pytest.raises(ConfigError, match=said) as caught:
        check_url(url)
    assert said in ("chains", "not a URL") or "hidden" not in str(caught.value)


def test_another_etag_or_time_is_another_version(memory):
    memory.pipe("/season/a.wav", b"one")
    first = state_of(URL + "/a.wav", "a")
    assert first == state_of(URL + "/a.wav", "a")
    memory.pipe("/season/a.wav", b"two")
    second = state_of(URL + "/a.wav", "a")
    assert (second.size_bytes, first.size_bytes) == (3, 3)
    assert second.version != first.version
    assert max(first.version, second.version) < 1 << 63
    with web_folder({"a.wav": b"one"}) as web:
        before = state_of(web.url + "/a.wav", "a")
        web.files["a.wav"] = b"two"
        assert state_of(web.url + "/a.wav", "a").version != before.version


@pytest.mark.parametrize("ranges", [True, False])
def test_a_web_folder(ranges):
    data = {"s/a b+c.wav": bytes(range(256)) * 9000, "s/may/d.wav": b"d", "other/e.wav": b"e"}
    with web_folder(data, ranges=ranges) as web:
        assert [entry.name for entry in entries(web.url + "/s/")] == ["a b+c.wav", "may"]
        found = list(find_inputs([web.url + "/s/"]))
        assert [str(item.path) for item in found] == ["a b+c.wav", "may/d.wav"]
        url, size = found[0].url, 256 * 9000
        assert state_of(url, "a").size_bytes == size
        for start, end in ((0, 10), (size - 7, size), (1000, 5000), (5, 5)):
            assert read_range(url, start, end, size, "a") == data["s/a b+c.wav"][start:end]
        kept: list[bytes] = []
        read_blocks(url, size, "a", kept.extend)
        assert b"".join(kept) == data["s/a b+c.wav"]


def test_blocks_are_as_long_as_is_said(monkeypatch, memory):
    monkeypatch.setattr(locations, "BLOCK_BYTES", 1000)
    memory.pipe("/season/a.wav", b"x" * 2500)
    kept: list[bytes] = []
    read_blocks(URL + "/a.wav", 2500, "a", kept.extend)
    assert [len(block) for block in kept] == [1000, 1000, 500]


@pytest.mark.parametrize(("times", "fails"), [(1, False), (9, True)])
def test_a_connection_that_breaks_is_tried_once_more(times, fails):
    data = wav()
    with web_folder({"a.wav": data}) as web, Scratch() as scratch:
        web.broken["a.wav"] = times
        path = scratch.place(Path("a.wav"))
        if fails:
            with pytest.raises(SourceError, match=r"^a.wav cannot be fetched: "):
                fetching.fetch(web.url + "/a.wav", len(data), path, Path("a.wav"))
            assert web.asked["a.wav"] <= 4  # the library's own tries among them
        else:
            fetching.fetch(web.url + "/a.wav", len(data), path, Path("a.wav"))
            assert path.read_bytes() == data


def test_a_refused_permission_and_a_server_that_is_gone():
    with web_folder({"a.wav": wav()}) as web:
        web.refused.add("a.wav")
        with pytest.raises(SourceError, match=r"^a cannot be fetched: permission refused"):
            state_of(web.url + "/a.wav", "a")
    with pytest.raises(SourceError, match=r"^a cannot be fetched: ") as caught:
        state_of(web.url + "/a.wav", "a")
    assert "\n" not in str(caught.value)


def test_what_a_redirect_adds_is_not_repeated():
    with web_folder({"a.wav": wav()}) as web:
        web.signature = "X-Amz-Signature=hidden"
        web.refused.add("a.wav")
        with pytest.raises(SourceError) as caught:
            state_of(web.url + "/a.wav", "a")
        assert "hidden" not in str(caught.value)
        assert "permission refused" in str(caught.value)


@pytest.mark.parametrize("ending", [b"", b"guan\x1c\x00\x00\x00GUANO|Version: 1.0\nA|B: 1\n\n\n"])
def test_the_ends_of_a_recording_tell_what_all_of_it_tells(memory, tmp_path, ending):
    data = wav(30.0) + ending
    (tmp_path / "AM_20240510_043000.wav").write_bytes(data)
    memory.pipe("/season/AM_20240510_043000.wav", data)
    ((here,),) = look_at(find_inputs([str(tmp_path)]))
    ((there,),) = look_at(find_inputs([URL]))
    assert len(data) > 2 * fetching.END_BYTES
    for fact in ("name", "duration_s", "start_utc_ns", "fault", "warning", "rate_hz", "exact_frames", "size_bytes"):
        assert getattr(there, fact) == getattr(here, fact), fact
    assert there.start_utc_ns is not None


def test_only_the_ends_are_read_for_a_plan():
    data = wav(60.0)
    with web_folder({"a.wav": data}) as web:
        look = list(look_at([Input("a", Path("a.wav"), web.url + "/a.wav")]))
        assert look[0][0].duration_s == 60.0
        assert web.asked["a.wav"] == 2


def jobs_of(memory, count: int):
    for number in range(count):
        memory.pipe(f"/season/{number}.wav", wav(0.1 + number / 100))
    return [job for (job,) in look_at(find_inputs([URL]))]


def test_few_files_are_on_the_disk_and_none_at_the_end(memory, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    jobs = jobs_of(memory, 8)
    with Staging(jobs, 1) as staging:
        for job in jobs:
            with staging.files(job) as here:
                assert here.path.name == job.path.name
                assert here.path.read_bytes() == memory.cat_file(f"/season/{job.path}")
                assert here.key == job.key
                assert len(list(tmp_path.rglob("*.wav"))) <= 2
                assert staging.shown(f"{here.path} is bad; {here.path}") == f"{job.path} is bad; {job.path}"
            assert not here.path.exists()
    assert list(tmp_path.iterdir()) == []


def test_jobs_of_one_file_share_it(memory):
    with web_folder({"a.wav": wav()}) as web:
        url = web.url + "/a.wav"
        ((job,),) = look_at([Input("a", Path("a.wav"), url)])
        before = web.asked["a.wav"]
        with Staging([job, job], 1) as staging:
            with staging.files(job) as first:
                assert first.path.exists()
            with staging.files(job) as second:
                assert second.path == first.path
        assert web.asked["a.wav"] == before + 1


def test_local_jobs_need_no_scratch(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    (tmp_path / "a.wav").write_bytes(wav())
    ((job,),) = look_at(find_inputs([str(tmp_path / "a.wav")]))
    with Staging([job], 1) as staging, staging.files(job) as here:
        assert here is job


def test_a_full_disk_ends_the_run_in_one_line(memory, tmp_path, monkeypatch):
    jobs = jobs_of(memory, 1)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with Staging(jobs, 1) as staging:
        monkeypatch.setattr(Path, "open", full)
        with pytest.raises(SinkError, match=r"No space left on device\); make room, or name another folder in TMPDIR"):
            staging.files(jobs[0]).__enter__()
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(SinkError, match="TMPDIR"):
        Scratch()


def test_one_that_changed_or_went_is_a_fault_and_costs_no_other(memory):
    jobs = jobs_of(memory, 3)
    memory.rm("/season/0.wav")
    memory.pipe("/season/1.wav", wav(0.11))
    with Staging(jobs, 2) as staging:
        for job, said in zip(jobs, ("0.wav: no such file", "1.wav has changed", None), strict=True):
            if said is None:
                with staging.files(job) as here:
                    assert here.path.stat().st_size == job.size_bytes
            else:
                with pytest.raises(SourceError, match=said):
                    staging.files(job).__enter__()


def test_channels_of_a_remote_recording(memory):
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros((32000, 2), np.float32), 32000, format="WAV")
    memory.pipe("/season/a.wav", stream.getvalue())
    with Decoders(0) as decoders:
        ((left, right),) = look_at(find_inputs([URL]), channel="each", decoders=decoders)
    assert (left.name, right.name) == ("a_ch0", "a_ch1")
    assert left.key != right.key
    assert left.url == right.url == URL + "/a.wav"
