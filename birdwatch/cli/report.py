"""`birdwatch report`: a table of detections becomes one HTML page that can be looked at and listened to."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import IO, cast

import click

from birdwatch._version import __version__
from birdwatch.atomic_write import check_writable, identities, written_beside
from birdwatch.audio.file import AudioFile
from birdwatch.audio.timestamps import zone
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.results import errors_path
from birdwatch.cli.numbers import FiniteRange
from birdwatch.errors import ConfigError, DecodeError
from birdwatch.report.clip import encode_clip
from birdwatch.report.moments import effort_of, local_time, species_of
from birdwatch.report.page import Moment, Page, describe, render
from birdwatch.report.picture import spectrogram_png
from birdwatch.tables.reading import read_detections
from birdwatch.tables.rows import DetectionRow, DetectionTable
from birdwatch.wording import counted

__all__ = ["report"]

# What a picture spans; birds that sing above are few, and a taller band makes the others small.
BAND_HZ = (0.0, 12000.0)


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--audio", type=click.Path(path_type=Path), help="The folder of the recordings. [default: as in TABLE]")
@click.option("--out", type=click.Path(path_type=Path), help="The page. [default: TABLE with .html]")
@click.option("--title", help="What the page is called. [default: the recordings' folder]")
@click.option("--moments", type=click.IntRange(0), default=3, show_default=True, help="Pictures a species.")
@click.option(
    "--species", "limit", type=click.IntRange(1), default=60, show_default=True, help="Species with pictures."
)
@click.option("--min-score", type=FiniteRange(0, 1), help="Detections from here on. [default: their threshold]")
@click.option("--timezone", default="UTC", show_default=True, help="Of the page's clock: UTC, +02:00, Europe/Berlin.")
def report(
    table: Path,
    audio: Path | None,
    out: Path | None,
    title: str | None,
    moments: int,
    limit: int,
    min_score: float | None,
    timezone: str,
) -> None:
    """Make one self-contained HTML page of TABLE, a .parquet, .jsonl or detections .csv of `birdwatch run`."""
    if table.is_dir():
        raise ConfigError(f"{table} is a folder; name a table of `birdwatch run`, and the recordings with --audio")
    page_path = out or table.with_suffix(".html")
    check_writable(page_path, inputs=identities([table]))
    where = zone(timezone)
    heard = read_detections(table)
    rows = [row for row in heard.rows if row.score >= (row.threshold if min_score is None else min_score)]
    species = species_of(rows, where, moments=moments)
    found = _Recordings(audio)
    played = [path for paths in found.by_file.values() for path in paths]
    check_writable(page_path, inputs=identities([*played, *(Path(row.path) for row in heard.rows)]))
    recordings = heard.run.get("recordings", [])
    wanted = [row for one in species[:limit] for row in one.moments]
    shown: dict[str, list[Moment]] = defaultdict(list)
    missing = 0
    with ThreadPoolExecutor(thread_name_prefix="moment") as pool:
        for row, (png, sound) in zip(wanted, pool.map(found.moment, wanted), strict=True):
            when = "" if row.start_utc_ns is None else _clock(local_time(row.start_utc_ns, where))
            missing += png is None
            shown[row.label].append(Moment(row, when, png, sound))
    page = Page(
        title=title or (audio or table).absolute().name.removesuffix(table.suffix),
        species=species,
        moments=shown,
        effort=effort_of(recordings, where),
        recordings=len(recordings) or len({row.recording for row in heard.rows}),
        failed=_failed(table, heard),
        band_hz=BAND_HZ,
        zone=timezone,
        about=describe(heard.run, __version__),
    )
    with written_beside(page_path) as stream:
        cast(IO[str], stream).write(render(page))
    pictures = sum(map(len, shown.values())) - missing
    size = page_path.stat().st_size / 1e6
    click.echo(f"{len(species)} species, {counted(pictures, 'moment')}, {size:.1f} MB; {page_path}", err=True)
    if missing:
        hint = f"in {audio}" if audio else "where the table says; name their folder with --audio"
        click.echo(f"birdwatch: the audio of {counted(missing, 'moment')} was not found {hint}", err=True)


def _clock(time: datetime) -> str:
    return f"{time.day} {time:%b %Y, %H:%M:%S}"


class _Recordings:
    """Finds a detection's recording: in the folder that was named, else where the table says."""

    def __init__(self, folder: Path | None) -> None:
        self.by_name: Mapping[str, Path] = {}
        self.by_file: dict[str, list[Path]] = defaultdict(list)
        if folder is not None:
            if not folder.exists():
                raise ConfigError(f"the folder {folder} does not exist; name the folder of the recordings")
            inputs = find_inputs([str(folder)])
            self.by_name = {item.name: item.path for item in inputs}
            for item in inputs:
                self.by_file[item.path.name].append(item.path)

    def path_of(self, row: DetectionRow) -> Path | None:
        """The file, or None. One that has moved is known by its name, or by its file's where only one has it."""
        name = row.recording if row.channel is None else row.recording.removesuffix(f"_ch{row.channel}")
        same = self.by_file.get(Path(row.path).name, [])
        if name in self.by_name and self.by_name[name].name == Path(row.path).name:
            return self.by_name[name]
        if len(same) == 1:
            return same[0]
        path = Path(row.path)
        return path if path.exists() else None

    def moment(self, row: DetectionRow) -> tuple[bytes | None, tuple[str, bytes] | None]:
        """A moment's picture and sound, or two times None."""
        path = self.path_of(row)
        if path is None:
            return None, None
        try:
            audio = AudioFile(path, channel=row.channel)
            samples = audio.read(row.start_s, row.end_s)
        except DecodeError:
            return None, None
        if not len(samples):
            return None, None
        low_hz, high_hz = BAND_HZ
        png = spectrogram_png(samples, audio.rate_hz, low_hz=low_hz, high_hz=high_hz)
        return png, encode_clip(samples, audio.rate_hz)


def _failed(table: Path, heard: DetectionTable) -> list[tuple[str, str]]:
    """The recordings that failed, from the table itself or from the list beside it."""
    if "failed" in heard.run:
        return [(item["path"], item["reason"]) for item in heard.run["failed"]]
    path = errors_path(table)
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [(row["recording"], row["reason"]) for row in csv.DictReader(stream)]
