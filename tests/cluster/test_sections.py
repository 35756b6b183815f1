"""Sections: what they give together is what the whole recording gives, to the bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile
from section_scoring import SECTION_S, Samples, assert_same, jobs_of, of_sections, of_whole, recording, scoring_of

from birdwatch.audio.isolated import Decoders
from birdwatch.audio.types import Window
from birdwatch.batch.jobs import Job, Section
from birdwatch.batch.scoring import Scoring
from birdwatch.cluster.sections import cutting_of, whole
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.tables.result import EVENTS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("rate_hz", "suffix", "subtype", "seconds"),
    [
        (32000, "wav", "PCM_16", 61.3),
        (44100, "wav", "PCM_16", 77.77),
        (48000, "wav", "PCM_24", 60.0),
        (48000, "flac", "PCM_16", 60.2),
        (44100, "flac", "PCM_24", 62.51),
        (22050, "wav", "FLOAT", 75.9),
        (22050, "flac", "PCM_16", 75.0),
        (96000, "aiff", "PCM_16", 46.4),
    ],
)
def test_formats_and_rates(
    tmp_path: Path, song: Samples, scoring: Scoring, rate_hz: int, suffix: str, subtype: str, seconds: float
) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, recording(song, rate_hz, seconds), rate_hz, subtype=subtype)
    (job,) = jobs_of(path)
    found = assert_same(job, scoring, tmp_path, commits=int(seconds // SECTION_S))
    assert found["facts"][1] > 3 * 32000  # silence
    assert len(found["events"]) > 0


@pytest.mark.parametrize("over_s", [0.0, 0.01, 0.3, 0.49, 0.51, 1.0, 2.6, 4.99, 5.0, 14.9])
def test_tails_behind_the_last_cut(tmp_path: Path, song: Samples, scoring: Scoring, over_s: float) -> None:
    samples = recording(song, 48000, 30 + over_s)
    soundfile.write(tmp_path / "a.wav", samples, 48000)
    (job,) = jobs_of(tmp_path / "a.wav")
    assert_same(job, scoring, tmp_path, commits=2)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("hop_s", [None, 5.0, 1.7])
def test_hops_and_batches(tmp_path: Path, song: Samples, tiny_model: Path, hop_s: float | None, batch: int) -> None:
    soundfile.write(tmp_path / "a.wav", recording(song, 48000, 65), 48000)
    (job,) = jobs_of(tmp_path / "a.wav")
    scoring = scoring_of(tiny_model, hop_s=hop_s, keep_segments=True)
    expected = of_whole(job, scoring, tmp_path)
    other = scoring_of(tiny_model, hop_s=hop_s, keep_segments=True, batch_size=batch, workers=1)
    found, _ = of_sections(job, cutting_of(scoring, [job], section_s=SECTION_S), other, tmp_path)
    assert found == expected
    assert len(expected["segments"]) == 13 * 3 * 4


class Parts:
    """A classifier whose windows have five parts; the scores of a part depend on it and on its window."""

    def __init__(self, inner: OnnxClassifier) -> None:
        self.inner, self.workers = inner, 1
        self.manifest = replace(inner.manifest, segments=5, segments_output="segments")

    def score_segments(self, windows: Iterable[Window], *, in_flight: int) -> Iterator[tuple[Window, Samples]]:
        for window in windows:
            loudness = np.abs(window.samples.reshape(5, -1)).mean(axis=1, dtype=np.float64)
            scores = self.inner.score(window.samples[None])
            yield window, (scores * (0.8 + 2 * loudness[:, None])).clip(0, 1).astype(np.float32)


def test_rows_of_a_model_with_segments(tmp_path: Path, song: Samples, tiny_model: Path) -> None:
    soundfile.write(tmp_path / "a.wav", recording(song, 48000, 63.3), 48000)
    (job,) = jobs_of(tmp_path / "a.wav")
    for hop_s in (1.0, 2.5):
        scoring = scoring_of(tiny_model, hop_s=hop_s, keep_segments=True)
        scoring = replace(scoring, classifier=cast(OnnxClassifier, Parts(scoring.classifier)), segment_s=5.0)
        (tmp_path / str(hop_s)).mkdir()
        found = assert_same(job, scoring, tmp_path / str(hop_s), commits=4)
        assert len(found["windows"]) > 0


def test_each_channel_and_their_mix(tmp_path: Path, song: Samples, scoring: Scoring) -> None:
    left = recording(song, 48000, 47)
    soundfile.write(tmp_path / "a.flac", np.stack([left, left[::-1]], axis=1), 48000)
    both = jobs_of(tmp_path / "a.flac", channel="each")
    for number, job in enumerate([*both, *jobs_of(tmp_path / "a.flac")]):
        (tmp_path / str(number)).mkdir()
        assert_same(job, scoring, tmp_path / str(number), commits=3)


def test_an_event_over_a_cut_is_one(tmp_path: Path, song: Samples, scoring: Scoring) -> None:
    samples = np.tile(song[: 3 * 32000], 20)[: 32000 * 45]
    soundfile.write(tmp_path / "a.wav", samples, 32000)
    (job,) = jobs_of(tmp_path / "a.wav")
    found = assert_same(job, scoring, tmp_path, commits=3)
    cut = round(SECTION_S * 32000)
    events = np.frombuffer(found["events"], EVENTS)
    assert any((events["start_frame"] < cut - 32000) & (events["end_frame"] > cut + 10 * 32000))


def test_codecs_in_other_processes_give_the_same(tmp_path: Path, song: Samples, scoring: Scoring) -> None:
    soundfile.write(tmp_path / "a.flac", recording(song, 48000, 50), 48000)
    (job,) = jobs_of(tmp_path / "a.flac")
    with Decoders(1) as decoders:
        assert_same(job, replace(scoring, decoders=decoders), tmp_path, commits=3)


def test_a_missing_section_is_a_recording_that_is_not_scored(tmp_path: Path, song: Samples, scoring: Scoring) -> None:
    soundfile.write(tmp_path / "a.wav", recording(song, 48000, 50), 48000)
    (job,) = jobs_of(tmp_path / "a.wav")
    cutting = cutting_of(scoring, [job], section_s=SECTION_S)
    with pytest.raises(AssertionError):
        of_sections(job, cutting, scoring, tmp_path, skip=lambda number: number == 1)
    (tmp_path / "sections.journal").unlink()
    found, files = of_sections(job, cutting, scoring, tmp_path, skip=lambda number: number != 1)
    assert found == of_whole(job, scoring, tmp_path)
    assert len(files) == 3


def test_sections_cover_a_recording_once(scoring: Scoring) -> None:
    job = Job("a", Path("/a.wav"), None, 1, 2, 54000.0, rate_hz=48000, exact_frames=54000 * 48000 + 5)
    cutting = cutting_of(scoring, [job])
    parts = cutting.parts(job)
    assert [part.section for part in parts[:2]] == [
        Section(0, 3600 * 32000),
        Section(3600 * 32000, 7200 * 32000),
    ]
    assert len(parts) == 15
    assert parts[-1].section == Section(14 * 3600 * 32000, None)
    assert sum(part.duration_s for part in parts) == pytest.approx(54000)
    assert {whole(part).key for part in parts} == {job.key}
    assert cutting.parts(replace(job, exact_frames=7199 * 48000)) == (replace(job, exact_frames=7199 * 48000),)
    assert cutting.parts(replace(job, fault="is empty")) == (replace(job, fault="is empty"),)
