"""A dataset from `run`, `plan`/`work`/`merge`; the page, figures and events that come of it are those of one table."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import duckdb
import numpy as np
import pandas
import pytest
import soundfile
from forked_birdwatch import run_birdwatch

pytestmark = pytest.mark.slow

AS_DATASET = ("--out", "detections/", "--format", "parquet")


@pytest.fixture(scope="module")
def birdwatch():
    def call(*arguments, folder):
        return run_birdwatch(*arguments, cwd=folder)

    return call


@pytest.fixture(scope="module")
def season(tmp_path_factory, tiny_model, song, birdwatch):
    """A season of two sites, a broken file, and what one run writes of it: a table and a dataset."""
    folder = tmp_path_factory.mktemp("dataset")
    for number, (site, day, hour) in enumerate(
        (("a pond", 13, 4), ("a pond", 13, 5), ("wood", 13, 4), ("wood", 15, 21))
    ):
        path = folder / "season" / site / f"AM_202405{day}_{hour:02d}3000.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.roll(song, 32000 * number)[: 32000 * (10 + number)], 32000)
    soundfile.write(folder / "season" / "wood" / "undated.wav", song[:320000], 32000)
    (folder / "season" / "broken.wav").write_text("no audio")
    out = ("--out", "detections/", "--out", "d.parquet", "--min-score", "0.1", "--timezone", "Europe/Berlin")
    done = birdwatch("run", "season", *out, "--format", "parquet", "--model", tiny_model, folder=folder)
    assert done.returncode == 3, done.stderr
    assert "detections, d.parquet" in done.stderr
    return folder


def written(folder):
    paths = [folder / "detections.recordings.parquet", *sorted((folder / "detections").rglob("*.parquet"))]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_duckdb_finds_the_rows_of_the_table(season):
    names = "recording, label, start_s, score, threshold"
    dataset, table = (
        sorted(duckdb.sql(f"SELECT {names} FROM '{season / name}'").fetchall())
        for name in ("detections/**/*.parquet", "d.parquet")
    )
    assert dataset == table
    assert len(table) > 10
    sites = duckdb.sql(f"SELECT DISTINCT site, date::VARCHAR FROM '{season}/detections/**/*.parquet'").fetchall()
    days = [("a pond", "2024-05-13"), ("wood", "2024-05-13"), ("wood", "2024-05-15"), ("wood", None)]
    assert sorted(sites, key=str) == sorted(days, key=str)


def test_the_queries_of_the_documentation_run(season):
    text = (Path(__file__).parents[2] / "docs" / "archives.md").read_text(encoding="utf-8")
    (queries,) = re.findall(r"( {6}SELECT .+?)\n\n  [A-Z]", text, re.DOTALL)
    database = duckdb.connect()
    database.execute(f"SET file_search_path = '{season}'")
    days, hourly = (database.sql(query).fetchall() for query in queries.split(";")[:2])
    table = pandas.read_parquet(season / "d.parquet")
    robins = table[(table["scientific_name"] == "Erithacus rubecula") & (table["score"] >= 0.5)]
    assert sum(count for *_, count in days) == len(robins) > 0
    sites = table["recording"].str.split("/").str[0].value_counts()
    hours = {"a pond": (10 + 11) / 3600, "wood": (12 + 13 + 10) / 3600}
    assert dict(hourly) == pytest.approx({site: sites[site] / hours[site] for site in hours})


def test_the_page_is_the_same(season, birdwatch):
    pages = []
    for name in ("detections/", "d.parquet"):
        arguments = ("--audio", "season", "--title", "Season", "--out", "page.html", "--moments", "4")
        done = birdwatch("report", name, *arguments, folder=season)
        assert done.returncode == 0, done.stderr
        assert "birdwatch:" not in done.stderr
        pages.append((season / "page.html").read_text())
    assert "European Robin" in pages[0]
    assert "broken.wav" in pages[0]
    assert "nothing was recorded" in pages[0]
    assert pages[0] == pages[1]


def test_the_page_is_called_after_the_folder(season, birdwatch):
    assert birdwatch("report", "detections/", "--moments", "0", folder=season).returncode == 0
    assert "<h1>detections</h1>" in (season / "detections.html").read_text()
    part = next((season / "detections").rglob("*.parquet")).relative_to(season)
    for place in (part, "season/wood/undated.wav"):
        done = birdwatch("report", "detections", "--moments", "0", "--out", place, folder=season)
        assert done.returncode == 1
        assert "is an input of this command" in done.stderr


def test_figures_are_the_same(season, birdwatch):
    (season / "truth.csv").write_text(
        "recording,label,start_s,end_s\na pond/AM_20240513_043000,gretit1,0.5,2\nwood/undated,Turdus merula,4,9\n"
        "wood/AM_20240515_213000,,,\n"
    )
    told = []
    for name in ("detections", "d.parquet"):
        done = birdwatch("evaluate", name, "--truth", "truth.csv", "--out", "figures.csv", folder=season)
        assert done.returncode == 0, done.stderr
        with (season / "figures.csv").open() as stream:
            told.append((list(csv.DictReader(stream)), done.stdout, done.stderr))
    assert told[0] == told[1]
    assert {row["label"] for row in told[0][0]} == {"gretit1", "eurrob1", "eurbla"}
    done = birdwatch(
        "evaluate", "detections", "--truth", "truth.csv", "--out", "detections.recordings.parquet", folder=season
    )
    assert done.returncode == 1
    assert "is an input of this command" in done.stderr


def test_workers_and_a_merge_write_the_same_dataset(season, tmp_path, birdwatch, tiny_model):
    options = (season / "season", *AS_DATASET, "--min-score", "0.1", "--timezone", "Europe/Berlin")
    done = birdwatch("plan", *options, "--model", tiny_model, "--store", "store", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [birdwatch("work", "store", "--shard", f"{n}/2", folder=tmp_path).returncode for n in (1, 2)].count(3) == 1
    done = birdwatch("merge", "store", folder=tmp_path)
    assert done.returncode == 3, done.stderr
    alone = tmp_path / "alone"
    alone.mkdir()
    done = birdwatch("run", *options, "--model", tiny_model, "--jobs", "1", folder=alone)
    assert done.returncode == 3, done.stderr
    assert written(tmp_path) == written(alone)
    assert (tmp_path / "detections.errors.csv").read_bytes() == (alone / "detections.errors.csv").read_bytes()
    again = birdwatch("run", *options, "--model", tiny_model, folder=alone)
    assert again.returncode == 3, again.stderr
    assert written(tmp_path) == written(alone)


def test_dask_writes_the_same_dataset(season, tmp_path, birdwatch, tiny_model):
    pytest.importorskip("distributed")
    options = ("--min-score", "0.1", "--timezone", "Europe/Berlin", "--engine", "dask", "--workers", "1")
    out = ("--out", f"{tmp_path}/detections/", "--format", "parquet")
    done = birdwatch("run", "season", *out, *options, "--model", tiny_model, folder=season)
    assert done.returncode == 3, done.stderr
    assert written(tmp_path) == written(season)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["run", "season", "--out", "season/", "--format", "parquet"],
            "which is no part of a dataset and would be lost; name a new",
        ),
        (["run", "season", "--out", "season/"], "add --format parquet, raven or audacity to fill it"),
        (["report", "season"], "season is a folder without season.recordings.parquet beside it"),
        (
            ["evaluate", "season", "--truth", "truth.csv"],
            "season is a folder without season.recordings.parquet beside it",
        ),
    ],
)
def test_bad_input_gets_one_line(season, birdwatch, tiny_model, arguments, said):
    model = ["--model", tiny_model] if arguments[0] == "run" else []
    done = birdwatch(*arguments, *model, folder=season)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
