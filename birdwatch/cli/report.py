"""`birdwatch report`: an HTML page of a table's detections, with spectrograms and sounds."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import IO, cast

import click

from birdwatch._version import __version__
from birdwatch.atomic_write import check_writable, identities
from birdwatch.audio.timestamps import zone
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.results import errors_path
from birdwatch.cli.parameters import FiniteRange, NamedPath
from birdwatch.errors import ConfigError
from birdwatch.report.moments import effort_of, species_of
from birdwatch.report.page import Moment, Page, describe, render
from birdwatch.report.recordings import BAND_HZ, Recordings
from birdwatch.tables.dataset_reading import Dataset
from birdwatch.tables.local_time import local_time
from birdwatch.tables.own_files import check_replaceable, table_beside
from birdwatch.tables.reading import open_detections
from birdwatch.tables.rows import DetectionTable
from birdwatch.wording import counted

__all__ = ["report"]


@click.command()
@click.argument("table", type=NamedPath())
@click.option("--audio", type=NamedPath(), help="The folder of the recordings. [default: as in TABLE]")
@click.option("--out", type=NamedPath(), help="The page to write. [default: TABLE with .html]")
@click.option("--title", help="Title of the page. [default: the recordings' folder]")
@click.option("--moments", type=click.IntRange(0), default=3, show_default=True, help="Pictures per species.")
@click.option(
    "--species", "limit", type=click.IntRange(1), default=60, show_default=True, help="Species with pictures."
)
@click.option(
    "--min-score", type=FiniteRange(0, 1), help="Only detections at or above this score. [default: their threshold]"
)
@click.option("--timezone", help="Time zone of the page: UTC, +02:00, Europe/Berlin. [default: TABLE's, else UTC]")
def report(
    table: Path,
    audio: Path | None,
    out: Path | None,
    title: str | None,
    moments: int,
    limit: int,
    min_score: float | None,
    timezone: str | None,
) -> None:
    """Write a self-contained HTML page of TABLE: a .parquet, .jsonl, detections .csv or dataset of `birdwatch run`."""
    # The page is named after the table, and `.` has no name.
    named = table if table.name else table.resolve()
    suffix = "" if table.is_dir() else table.suffix
    page_path = out or named.parent / f"{named.name.removesuffix(suffix)}.html"
    if table.exists():
        check_writable(page_path, inputs=identities([table]))
    read = open_detections(table)
    timezone = timezone or read.timezone or "UTC"
    where = zone(timezone)
    found = Recordings(_in_folder(audio))
    _check_no_input(page_path, chain(found.by_name.values(), read.files()))
    check_replaceable(page_path)
    species = species_of(read.columns(min_score), where, moments=moments)
    wanted = [row for one in species[:limit] for row in one.moments]
    shown: dict[str, list[Moment]] = defaultdict(list)
    missing = 0
    with ThreadPoolExecutor(thread_name_prefix="moment") as pool:
        for row, (png, sound) in zip(wanted, pool.map(found.moment, wanted), strict=True):
            when = "" if row.start_utc_ns is None else _clock(local_time(row.start_utc_ns, where))
            missing += png is None
            shown[row.label].append(Moment(row, when, png, sound))
    page = Page(
        title=title or (audio or table).absolute().name.removesuffix(suffix),
        species=species,
        moments=shown,
        effort=effort_of(read.recordings(), where),
        recordings=read.recording_count,
        failed=_failed(table, read),
        band_hz=BAND_HZ,
        zone=timezone,
        about=describe(read.run, __version__),
    )
    with table_beside(page_path) as stream:
        cast(IO[str], stream).write(render(page))
    pictures = sum(map(len, shown.values())) - missing
    size = page_path.stat().st_size / 1e6
    click.echo(f"{len(species)} species, {counted(pictures, 'moment')}, {size:.1f} MB; {page_path}", err=True)
    if missing:
        hint = f"in {audio}" if audio else "where the table says; name their folder with --audio"
        click.echo(f"birdwatch: the audio of {counted(missing, 'moment')} was not found {hint}", err=True)


def _check_no_input(page: Path, files: Iterable[Path]) -> None:
    """Raise SinkError if the page would replace one of `files`, of which there may be a million."""
    itself = identities([page])
    if itself:
        check_writable(page, inputs={place: file for file in files for place in identities([file]) if place in itself})


def _in_folder(folder: Path | None) -> dict[str, Path]:
    """The recordings of a folder by name."""
    if folder is None:
        return {}
    if not folder.exists():
        raise ConfigError(f"the folder {folder} does not exist; name the folder of the recordings", path=folder)
    return {item.name: item.path for item in find_inputs([str(folder)])}


def _clock(time: datetime) -> str:
    return f"{time.day} {time:%b %Y, %H:%M:%S}"


def _failed(table: Path, read: DetectionTable | Dataset) -> list[tuple[str, str]]:
    """The recordings that failed, from the table itself or from the list beside it."""
    if "failed" in read.run:
        return [(item["path"], item["reason"]) for item in read.run["failed"]]
    path = errors_path(table)
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [(row["recording"], row["reason"]) for row in csv.DictReader(stream)]
