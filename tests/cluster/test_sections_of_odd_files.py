"""Sections of files that are damaged, unclosed, changed, joined or cannot be read from the middle."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from section_scoring import SECTION_S, Samples, assert_same, jobs_of, of_sections, of_whole, recording

from birdwatch.audio.continuation import Place, place_text
from birdwatch.batch.joining import joined
from birdwatch.batch.scoring import Scoring
from birdwatch.cluster.sections import cutting_of

pytestmark = pytest.mark.slow


def test_nan_in_one_section_has_the_recording_scored_whole(tmp_path: Path, song: Samples, scoring: Scoring) -> None:
    samples = recording(song, 48000, 61)
    samples[48000 * 33 : 48000 * 33 + 5] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 48000, subtype="FLOAT")
    (job,) = jobs_of(tmp_path / "a.wav")
    # The two sections that NaN does not reach were committed, and are not used.
    found = assert_same(job, scoring, tmp_path, commits=3)
    assert "NaN" in found["facts"][-1]


def test_a_damaged_flac_file_is_scored_whole(tmp_path: Path, song: Samples, scoring: Scoring) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, recording(song, 48000, 150), 48000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 30000] = bytes(30000)
    path.write_bytes(data)
    (job,) = jobs_of(path)
    cutting = cutting_of(scoring, [job], section_s=SECTION_S)
    expected = of_whole(job, scoring, tmp_path)
    assert "damaged" in expected["facts"][-1]
    found, _ = of_sections(job, cutting, scoring, tmp_path)
    assert found == expected


def test_a_wav_file_that_was_not_closed_is_cut_with_its_warning(
    tmp_path: Path, song: Samples, scoring: Scoring
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, recording(song, 48000, 50), 48000)
    data = bytearray(path.read_bytes())
    data[40:44] = bytes(4)
    path.write_bytes(data)
    (job,) = jobs_of(path)
    found = assert_same(job, scoring, tmp_path, commits=3)
    assert "not closed" in found["facts"][-1]


def test_a_file_that_changed_since_it_was_planned_is_scored_whole(
    tmp_path: Path, song: Samples, scoring: Scoring
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, recording(song, 48000, 50), 48000)
    (job,) = jobs_of(path)
    cutting = cutting_of(scoring, [job], section_s=SECTION_S)
    soundfile.write(path, recording(song, 48000, 40), 48000)
    found, files = of_sections(job, cutting, scoring, tmp_path)
    assert found == of_whole(job, scoring, tmp_path)
    assert len(files) == 1


def test_joined_files_are_cut_as_one_recording(tmp_path: Path, song: Samples, scoring: Scoring) -> None:
    samples = recording(song, 48000, 70)
    ends = [0, 48000 * 20 + 11, 48000 * 41, len(samples)]
    for number, (begin, end) in enumerate(pairwise(ends)):
        with soundfile.SoundFile(tmp_path / f"{number}.flac", "w", 48000, 1, "PCM_16") as sound:
            sound.comment = "GUANO|Version: 1.0\n" + place_text(Place("s", begin))
            sound.write(samples[begin:end])
    (job,) = joined(jobs_of(*(tmp_path / f"{number}.flac" for number in range(3))))
    assert len(job.rest) == 2
    assert job.frames == len(samples)
    assert_same(job, scoring, tmp_path, commits=4)


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_what_cannot_be_read_from_the_middle_stays_whole(
    tmp_path: Path, song: Samples, scoring: Scoring, suffix: str
) -> None:
    samples = recording(song, 48000, 50)
    with soundfile.SoundFile(tmp_path / f"a.{suffix}", "w", 48000, 1) as sound:
        # libvorbis keeps a whole call's samples on the stack.
        for at in range(0, len(samples), 48000):
            sound.write(samples[at : at + 48000])
    (job,) = jobs_of(tmp_path / f"a.{suffix}")
    assert cutting_of(scoring, [job], section_s=SECTION_S).parts(job) == (job,)
