"""The audio of events: the right samples, a bounded folder, a full disk."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from birdwatch.audio.types import AudioBlock
from birdwatch.live import bounded_folder
from birdwatch.live import clips as clips_module
from birdwatch.live.clips import HELD_S, Clips

RATE_HZ = 8000


def stream(clips, seconds, start=0, rate_hz=RATE_HZ):
    for frame in range(start, start + seconds * rate_hz, rate_hz // 4):
        numbers = np.arange(frame, frame + rate_hz // 4)
        clips.push(AudioBlock(((numbers % 30000) / 32768).astype(np.float32), frame, rate_hz))


def numbers_of(path):
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == RATE_HZ
    return samples


def test_a_clip_holds_the_event_and_a_second_on_both_sides(tmp_path):
    clips = Clips(tmp_path / "new" / "folder", max_bytes=10**9)
    stream(clips, 30)
    path = clips.save("a", 10.0, 12.5)
    assert path == tmp_path / "new" / "folder" / "a.flac"
    assert numbers_of(path).tolist() == [n % 30000 for n in range(9 * RATE_HZ, 13 * RATE_HZ + RATE_HZ // 2)]
    assert list(path.parent.iterdir()) == [path]


def test_what_is_no_longer_held_is_left_out(tmp_path):
    clips = Clips(tmp_path, max_bytes=10**9)
    stream(clips, 200)
    assert len(numbers_of(clips.save("long", 0.0, 195.0))) == (HELD_S - 200 + 196) * RATE_HZ
    assert clips.save("gone", 0.0, 50.0) is None


def test_no_clip_spans_a_hole(tmp_path):
    clips = Clips(tmp_path, max_bytes=10**9)
    stream(clips, 10)
    stream(clips, 10, start=15 * RATE_HZ)
    assert len(numbers_of(clips.save("after", 8.0, 18.0))) == 4 * RATE_HZ
    stream(clips, 10, start=15 * RATE_HZ * 6, rate_hz=6 * RATE_HZ)
    assert clips.save("before", 5.0, 9.0) is None


def test_the_oldest_go_first_and_those_of_an_earlier_run_count(tmp_path):
    rng = np.random.default_rng(1)
    for number in range(4):
        old = tmp_path / f"old{number}.flac"
        soundfile.write(old, rng.normal(0, 0.1, 4 * RATE_HZ), RATE_HZ)
        os.utime(old, (number, number))
    (tmp_path / "notes.txt").write_text("mine")
    size = (tmp_path / "old0.flac").stat().st_size
    clips = Clips(tmp_path, max_bytes=round(3.5 * size))
    clips.push(AudioBlock(rng.normal(0, 0.1, 30 * RATE_HZ).astype(np.float32), 0, RATE_HZ))
    for number in range(3):
        clips.save(f"new{number}", 5.0 + number, 7.0 + number)
        kept = sum(path.stat().st_size for path in tmp_path.glob("*.flac"))
        assert kept <= 3.5 * size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new0.flac", "new1.flac", "new2.flac", "notes.txt"]
    assert clips.removed == 4


def test_a_disk_that_other_programs_fill_costs_no_old_clip_and_no_exception(tmp_path, monkeypatch, caplog):
    clips = Clips(tmp_path, max_bytes=10**9, min_free_bytes=1000)
    stream(clips, 30)
    kept = clips.save("kept", 5.0, 6.0)
    monkeypatch.setattr(bounded_folder.shutil, "disk_usage", lambda _: SimpleNamespace(free=999))
    assert clips.save("refused", 10.0, 11.0) is None
    assert clips.save("refused", 10.0, 11.0) is None
    assert "MB are free" in clips.fault
    assert kept.exists()
    assert len(caplog.records) == 1
    monkeypatch.undo()
    assert clips.save("again", 10.0, 11.0) is not None
    assert clips.fault is None


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    clips = Clips(tmp_path, max_bytes=10**9, min_free_bytes=0)
    stream(clips, 30)

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(clips_module.soundfile, "write", full)
    assert clips.save("a", 5.0, 6.0) is None
    assert "No space left" in clips.fault
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said_and_is_no_exception(tmp_path):
    (tmp_path / "file").write_text("")
    clips = Clips(tmp_path / "file" / "clips", max_bytes=10**9)
    stream(clips, 30)
    assert clips.save("a", 5.0, 6.0) is None
    assert "cannot be saved" in clips.fault


def test_memory_is_held_for_a_while_only(tmp_path):
    clips = Clips(tmp_path, max_bytes=10**9)
    stream(clips, 5)
    assert clips._ring.capacity_frames == pytest.approx(HELD_S * RATE_HZ)


@pytest.mark.parametrize("error", [IsADirectoryError(21, "Is a directory"), PermissionError(1, "not permitted")])
def test_clips_that_cannot_be_removed_are_left_alone_and_said_once(tmp_path, monkeypatch, caplog, error):
    """A folder in a clip's place; a clip of another user in a folder with the sticky bit."""
    rng = np.random.default_rng(1)
    clips = Clips(tmp_path, max_bytes=1, min_free_bytes=0)
    clips.push(AudioBlock(rng.normal(0, 0.1, 60 * RATE_HZ).astype(np.float32), 0, RATE_HZ))

    def refused(*_args, **_options):
        raise error

    with monkeypatch.context() as patched:
        # Its own temporary file is renamed, so that there is nothing else to remove.
        patched.setattr(type(tmp_path), "unlink", lambda self, missing_ok=False: self.exists() and refused())
        for number in range(3):
            assert clips.save(f"{number}", 5.0 + number, 7.0 + number) is not None
    assert clips.fault is None
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["0", "1", "2"]
    assert len(caplog.records) == 1
    assert "cannot be removed" in caplog.text
    # What was given up does not count any more: the next clips are bounded as before.
    assert clips.save("newest", 30.0, 32.0) is not None
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["0", "1", "newest"]


def test_a_clip_that_is_removed_as_soon_as_it_has_its_name_is_no_exception(tmp_path, monkeypatch):
    clips = Clips(tmp_path, max_bytes=10**9, min_free_bytes=0)
    stream(clips, 30)
    replace = type(tmp_path).replace

    def removed(self, target):
        replace(self, target).unlink()

    monkeypatch.setattr(type(tmp_path), "replace", removed)
    assert clips.save("a", 5.0, 6.0) == tmp_path / "a.flac"
    assert clips.fault is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_in_the_place_of_a_clip_is_not_waited_for(tmp_path):
    clips = Clips(tmp_path, max_bytes=10**9, min_free_bytes=0)
    stream(clips, 30)
    os.mkfifo(tmp_path / "a.part")
    clips.save("a", 5.0, 6.0)
    assert clips.save("a", 5.0, 6.0) is not None
