"""Sections: what they give together is what the whole recording gives, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from birdwatch.audio.continuation import Place, place_text
from birdwatch.audio.isolated import Decoders
from birdwatch.audio.types import Window
from birdwatch.batch.jobs import Channel, Job, Section, look_at
from birdwatch.batch.joining import joined
from birdwatch.batch.named_inputs import Input
from birdwatch.batch.progress import Meter
from birdwatch.batch.run_database import RunDatabase
from birdwatch.batch.scoring import Scoring, score_job
from birdwatch.cluster.commits import CommitStore, CommitWriter
from birdwatch.cluster.folding import Folding
from birdwatch.cluster.sections import Cutting, cutting_of, score_part, whole
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.tables.result import EVENTS

SECTION_S = 15.0
Samples = NDArray[np.float32]


def scoring_of(model: Path, *, keep_segments: bool = False, hop_s: float | None = 1.0, **changes: Any) -> Scoring:
    classifier = OnnxClassifier(model, **changes)
    rate_hz = classifier.manifest.rate_hz
    rules = (
        EventRule(0.5, 0.3, bridge_frames=3 * rate_hz),
        EventRule(0.4, 0.2, min_windows=2),
        EventRule(0.02, 0.01, bridge_frames=rate_hz),
    )
    floors = np.array([0.3, 0.45, 2.0], np.float32)
    return Scoring(classifier, ScoringPolicy(rules), hop_s, floors, keep_segments)


@pytest.fixture(scope="module")
def scoring(tiny_model: Path) -> Scoring:
    return scoring_of(tiny_model)


def recording(song: Samples, rate_hz: int, seconds: float) -> Samples:
    """Birdsong, digital silence over the first cut (15 s), noise of several levels."""
    rng = np.random.default_rng(rate_hz)
    long = np.tile(np.interp(np.arange(0, 13, 1 / rate_hz), np.arange(len(song)) / 32000, song), 12)
    out = long[: round(seconds * rate_hz)] * 0.8
    out += rng.normal(0, 1, len(out)) * 0.02 * (1 + np.sin(np.arange(len(out)) / rate_hz / 3))
    out[round(12.3 * rate_hz) : round(21.7 * rate_hz)] = 0
    return out.astype(np.float32)


def jobs_of(*paths: Path, channel: Channel = "mix") -> list[Job]:
    found = look_at([Input(path.stem, path) for path in paths], channel=channel)
    return [job for jobs in found for job in jobs]


def content(job: Job, database: RunDatabase) -> dict[str, Any]:
    entry = database.find(job)
    assert entry is not None
    facts = (entry.frames, entry.silent_frames, entry.unscored_frames, entry.windows, entry.warning)
    kinds = ("windows", "events", "segments")
    return {
        "facts": facts,
        "present": entry.present.tobytes(),
        **{kind: b"".join(database.pieces(entry, kind)) for kind in kinds},  # type: ignore[arg-type]
    }


def of_whole(job: Job, scoring: Scoring, folder: Path) -> dict[str, Any]:
    with RunDatabase(folder / "whole.journal", {}, resume=False) as database:
        score_job(job, scoring, database, lambda _: None)
        found = content(job, database)
    (folder / "whole.journal").unlink()
    return found


def of_sections(
    job: Job, cutting: Cutting, scoring: Scoring, folder: Path, *, skip: Callable[[int], bool] = lambda _: False
) -> tuple[dict[str, Any], list[Path]]:
    """What the sections give, scored in another order than they lie in, and the commits that it took."""
    store = CommitStore(folder / "store", {})
    writer = CommitWriter(store, {}, scoring.floors)
    for number, part in reversed(list(enumerate(cutting.parts(job)))):
        if not skip(number):
            score_part(part, scoring, writer, lambda _: None)
    writer.abandon()
    with RunDatabase(folder / "sections.journal", {}, resume=False) as database:
        outcome = Folding(store, cutting, scoring).take(job, database, Meter([job]), lambda: None)
        assert outcome is not None
        found = content(job, database)
        assert outcome.warning == found["facts"][-1]
    (folder / "sections.journal").unlink()
    return found, [path for path in (folder / "store").rglob("*") if path.is_file()]


def assert_same(job: Job, scoring: Scoring, folder: Path, *, commits: int) -> dict[str, Any]:
    cutting = cutting_of(scoring, [job], section_s=SECTION_S)
    expected = of_whole(job, scoring, folder)
    found, files = of_sections(job, cutting, scoring, folder)
    assert found == expected
    assert len(files) == commits
    return expected


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


def test_codecs_in_other_processes_give_the_same(tmp_path: Path, song: Samples, scoring: Scoring) -> None:
    soundfile.write(tmp_path / "a.flac", recording(song, 48000, 50), 48000)
    (job,) = jobs_of(tmp_path / "a.flac")
    with Decoders(1) as decoders:
        assert_same(job, replace(scoring, decoders=decoders), tmp_path, commits=3)


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
