"""Files that were cut out of one recording give, joined, what the whole recording gives."""

from __future__ import annotations

import csv
import itertools
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from birdwatch.audio.continuation import Place, place_of, place_text
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import Job, look_at
from birdwatch.batch.joining import joined
from birdwatch.cli.run import run

RATE_HZ = 48000


def write(path: Path, samples: np.ndarray, place: Place | None, second: float) -> None:
    with soundfile.SoundFile(path, "w", samplerate=RATE_HZ, channels=1, format="FLAC", subtype="PCM_16") as sound:
        stamp = datetime.fromtimestamp(1746072000 + second, UTC).isoformat(timespec="milliseconds")
        sound.comment = f"GUANO|Version: 1.0\nTimestamp: {stamp}\n" + ("" if place is None else place_text(place))
        sound.write(samples)


@pytest.fixture
def season(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with 47 s in three files that continue each other and 9 s of another stream; and the 47 s in one."""
    folder, whole = tmp_path / "rec", tmp_path / "whole"
    folder.mkdir()
    whole.mkdir()
    t = np.arange(56 * RATE_HZ) / RATE_HZ
    tone = np.sin(2 * np.pi * (1500 + 4000 * (t // 13 % 2)) * t)
    samples = np.where(t % 20 < 9, 0.5, 0.0) * tone + np.random.default_rng(7).normal(0, 0.02, len(t))
    cuts = [0, 12.7, 31.3, 47]
    for number, (first, last) in enumerate(itertools.pairwise(cuts)):
        a, b = round(first * RATE_HZ), round(last * RATE_HZ)
        write(folder / f"pond_{number}.flac", samples[a:b], Place("one", 1000 + a), first)
    write(folder / "pond_3.flac", samples[47 * RATE_HZ :], Place("two", 0), 47)
    write(whole / "pond_0.flac", samples[: 47 * RATE_HZ], None, 0)
    return folder, whole


def events(folder: Path, out: Path, *options: str) -> list[tuple[str, ...]]:
    arguments = [
        str(folder),
        "--out",
        str(out),
        "--rows",
        "events",
        "--format",
        "detections",
        "--threshold",
        "0.5",
        *options,
    ]
    result = CliRunner().invoke(run, [*arguments, *options])
    assert result.exit_code == 0, result.output
    with out.open() as stream:
        return [tuple(value for name, value in row.items() if name != "path") for row in csv.DictReader(stream)]


@pytest.mark.slow
def test_joined_files_give_the_events_of_the_whole_recording(season, tmp_path, tiny_model):
    folder, whole = season
    model = ("--model", str(tiny_model))
    together = events(folder, tmp_path / "joined.csv", "--join", *model)
    expected = events(whole, tmp_path / "whole.csv", *model)
    assert len(expected) >= 3
    assert [row for row in together if row[0] == "pond_0"] == expected
    assert {row[0] for row in together} == {"pond_0", "pond_3"}
    apart = events(folder, tmp_path / "apart.csv", *model)
    assert {row[0] for row in apart} == {"pond_0", "pond_1", "pond_2", "pond_3"}
    assert len(apart) > len(together)


def jobs(folder: Path) -> list[Job]:
    return [job for found in look_at(find_inputs([str(folder)])) for job in found]


def test_a_first_file_that_was_named_late_does_not_move_the_others(season):
    folder, _ = season
    samples, _ = soundfile.read(folder / "pond_0.flac", dtype="float32")
    write(folder / "pond_0.flac", samples, Place("one", 1000), 3)
    chain = joined(jobs(folder))[0]
    assert chain.start_utc_ns == 1746072000 * 10**9


def test_a_missing_file_ends_a_chain_and_a_copy_is_not_joined_twice(season):
    folder, _ = season
    (folder / "pond_1.flac").rename(folder / "aside")
    assert [(job.name, len(job.rest)) for job in joined(jobs(folder))] == [("pond_0", 0), ("pond_2", 0), ("pond_3", 0)]
    (folder / "aside").rename(folder / "pond_1.flac")
    (folder / "pond_1b.flac").write_bytes((folder / "pond_1.flac").read_bytes())
    chains = joined(jobs(folder))
    assert [(job.name, [part.name for part in job.rest]) for job in chains] == [
        ("pond_0", ["pond_1", "pond_2"]),
        ("pond_1b", []),
        ("pond_3", []),
    ]
    assert chains[0].duration_s == pytest.approx(47.0)
    assert chains[0].size_bytes == sum((folder / f"pond_{n}.flac").stat().st_size for n in range(3))


def test_a_damaged_file_in_the_middle_costs_itself(season, tmp_path, tiny_model):
    folder, _ = season
    path = folder / "pond_1.flac"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = b"\0" * (len(data) - len(data) // 2)
    path.write_bytes(data)
    rows = events(folder, tmp_path / "out.csv", "--join", "--model", str(tiny_model))
    assert {row[0] for row in rows} == {"pond_0", "pond_3"}


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "Birdwatch|Stream: a\nBirdwatch|Start Frame: 1",
        "GUANO|Version: 1.0\nBirdwatch|Stream: a\n",
        "GUANO|Version: 1.0\nBirdwatch|Stream: a\nBirdwatch|Start Frame: -1\n",
        "GUANO|Version: 1.0\nBirdwatch|Stream: a\nBirdwatch|Start Frame: ²\n",
        "GUANO|Version: 1.0\nBirdwatch|Stream: a\nBirdwatch|Start Frame: " + "9" * 5000,
        "GUANO|Version: 1.0\nBirdwatch|Stream:\nBirdwatch|Start Frame: 1\n",
    ],
)
def test_odd_comments_are_no_place(comment):
    assert place_of(comment) is None


def test_a_place_is_read_back():
    place = Place("3f0c", 123)
    assert place_of("GUANO|Version: 1.0\n" + place_text(place)) == place
