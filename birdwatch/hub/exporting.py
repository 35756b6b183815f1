"""The store's events as files: CSV, Parquet, an eBird checklist, a Darwin Core archive."""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import IO, Any, cast
from xml.sax.saxutils import escape

from sqlalchemy import func, or_, select

from birdwatch._version import __version__
from birdwatch.errors import ConfigError
from birdwatch.extras import install_command
from birdwatch.hub.clock import HOUR_MS, iso
from birdwatch.hub.schema import events, listened, species, stations
from birdwatch.hub.store import Store
from birdwatch.tables.cells import write_csv
from birdwatch.tables.own_files import table_beside

__all__ = ["FORMATS", "Choice", "export"]

CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events; times in ms, where: the zone of days.

    reviewed: only those that a person confirmed or gave another species.
    """

    from_ms: int | None
    to_ms: int | None
    station: str | None
    reviewed: bool
    where: tzinfo


def export(store: Store, path: Path, kind: str, choice: Choice) -> int:
    """Write the chosen events to `path`; how many. Raises SinkError, and nothing there is then changed."""
    return FORMATS[kind](store, path, choice)


def _rows(store: Store, choice: Choice) -> Iterator[dict[str, Any]]:
    """Events in the order of time; where a person named another species, that one. What is known to be wrong is not."""
    other = species.alias("other_species")
    wanted = (
        select(events, stations.c.name.label("place"), stations.c.lat, stations.c.lon, species.c.code, species.c.name)
        .add_columns(species.c.scientific, other.c.code.label("other_code"), other.c.name.label("other_name"))
        .add_columns(other.c.scientific.label("other_scientific"))
        .join(stations, stations.c.id == events.c.station)
        .join(species, species.c.id == events.c.species)
        .outerjoin(other, other.c.id == events.c.verdict_species)
        .order_by(events.c.start_ms, events.c.id)
    )
    if choice.reviewed:
        wanted = wanted.where(or_(events.c.verdict == "right", events.c.verdict_species.is_not(None)))
    else:
        wanted = wanted.where(or_(events.c.verdict.is_(None), events.c.verdict != "wrong"))
    if choice.from_ms is not None:
        wanted = wanted.where(events.c.start_ms >= choice.from_ms)
    if choice.to_ms is not None:
        wanted = wanted.where(events.c.start_ms < choice.to_ms)
    if choice.station is not None:
        wanted = wanted.where(stations.c.name == choice.station)
    with store.reading() as connection:
        for row in connection.execution_options(yield_per=CHUNK).execute(wanted):
            renamed = row.verdict == "other" and row.other_code is not None
            yield {
                "id": row.id,
                "station": row.place,
                "lat": row.lat,
                "lon": row.lon,
                "start_utc": iso(row.start_ms),
                "end_utc": iso(row.end_ms),
                "code": row.other_code if renamed else row.code,
                "name": row.other_name if renamed else row.name,
                "scientific": row.other_scientific if renamed else row.scientific,
                "score": row.score,
                "verdict": row.verdict or "",
                "by": row.verdict_by or "",
                "start_ms": row.start_ms,
            }


COLUMNS = (
    "id",
    "station",
    "start_utc",
    "end_utc",
    "code",
    "name",
    "scientific",
    "score",
    "verdict",
    "by",
    "lat",
    "lon",
)


def _csv(store: Store, path: Path, choice: Choice) -> int:
    count = 0
    with table_beside(path) as stream:
        write_csv(cast(IO[str], stream), [COLUMNS])
        for row in _rows(store, choice):
            write_csv(cast(IO[str], stream), [[row[name] for name in COLUMNS]])
            count += 1
    return count


def _parquet(store: Store, path: Path, choice: Choice) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ConfigError(f"Parquet needs the package pyarrow: {install_command('parquet')}") from error
    kinds = {"id": pa.int64(), "score": pa.float64(), "lat": pa.float64(), "lon": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    count = 0
    with table_beside(path, binary=True) as stream, pq.ParquetWriter(stream, schema) as writer:
        batch: list[dict[str, Any]] = []
        for row in _rows(store, choice):
            batch.append({name: row[name] for name in COLUMNS})
            count += 1
            if len(batch) == CHUNK:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema))
    return count


def _ebird(store: Store, path: Path, choice: Choice) -> int:
    """eBird's "Record Format (Extended)": a row for each species, station and day, X for a number not counted.

    The effort is the time that the station listened on that day, as a stationary count.
    """
    days: dict[tuple[str, str], dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
    places: dict[str, tuple[float | None, float | None]] = {}
    count = 0
    for row in _rows(store, choice):
        day = datetime.fromtimestamp(row["start_ms"] / 1000, choice.where).strftime("%m/%d/%Y")
        days[row["station"], day][row["name"], row["scientific"]] += 1
        places[row["station"]] = (row["lat"], row["lon"])
        count += 1
    minutes = _minutes(store, choice.where)
    with table_beside(path) as stream:
        for (station, day), found in sorted(days.items()):
            lat, lon = places[station]
            effort = round(minutes.get((station, day), 0.0))
            for (name, scientific), events_ in sorted(found.items()):
                genus, _, kind = scientific.partition(" ")
                remark = f"birdwatch {__version__}; detected by a network, not by ear"
                what = (name, genus, kind, "X", f"{events_} acoustic events")
                place = (station, lat, lon, day, "00:00", "", "", "Stationary")
                write_csv(cast(IO[str], stream), [[*what, *place, 1, effort or "", "N", "", "", remark]])
    return count


def _minutes(store: Store, where: tzinfo) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = defaultdict(float)
    wanted = select(stations.c.name, listened.c.hour, func.sum(listened.c.seconds)).join(
        stations, stations.c.id == listened.c.station
    )
    with store.reading() as connection:
        for name, hour, seconds in connection.execute(wanted.group_by(stations.c.name, listened.c.hour)):
            day = datetime.fromtimestamp(hour * HOUR_MS / 1000, where).strftime("%m/%d/%Y")
            found[name, day] += seconds / 60
    return found


# Darwin Core's terms, in the order of the columns.
TERMS = (
    "occurrenceID",
    "basisOfRecord",
    "eventDate",
    "scientificName",
    "vernacularName",
    "locality",
    "decimalLatitude",
    "decimalLongitude",
    "identificationVerificationStatus",
    "identifiedBy",
    "occurrenceRemarks",
)


def _darwin_core(store: Store, path: Path, choice: Choice) -> int:
    """A zip with occurrence.csv, its description meta.xml, and eml.xml."""
    count = 0
    with (
        table_beside(path, binary=True) as stream,
        zipfile.ZipFile(cast(IO[bytes], stream), "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        with archive.open("occurrence.csv", "w", force_zip64=True) as member:
            text = io.TextIOWrapper(member, encoding="utf-8", newline="")
            write_csv(text, [TERMS])
            for row in _rows(store, choice):
                status = "verified by a person" if row["verdict"] in ("right", "other") else "unverified"
                who = row["by"] or f"birdwatch {__version__}"
                what = (f"birdwatch:{row['station']}:{row['id']}", "MachineObservation")
                when = f"{row['start_utc']}/{row['end_utc']}"
                place = (row["station"], row["lat"], row["lon"])
                names = (row["scientific"], row["name"])
                cells = [*what, when, *names, *place, status, who, f"score {row['score']:.3f}"]
                # For programs: the names as they are.
                write_csv(text, [cells], verbatim=True)
                count += 1
            text.flush()
            text.detach()
        fields = "".join(
            f'<field index="{n}" term="http://rs.tdwg.org/dwc/terms/{term}"/>' for n, term in enumerate(TERMS) if n
        )
        archive.writestr("meta.xml", META.format(fields=fields))
        archive.writestr("eml.xml", EML.format(title=escape(choice.station or "all stations")))
    return count


META = """<?xml version="1.0" encoding="UTF-8"?>
<archive xmlns="http://rs.tdwg.org/dwc/text/" metadata="eml.xml">
<core encoding="UTF-8" fieldsTerminatedBy="," linesTerminatedBy="\\n" fieldsEnclosedBy='"' ignoreHeaderLines="1"
 rowType="http://rs.tdwg.org/dwc/terms/Occurrence">
<files><location>occurrence.csv</location></files><id index="0"/>{fields}</core></archive>
"""
EML = """<?xml version="1.0" encoding="UTF-8"?>
<eml:eml xmlns:eml="eml://ecoinformatics.org/eml-2.1.1" packageId="birdwatch" system="birdwatch">
<dataset><title>Birds detected by birdwatch: {title}</title></dataset></eml:eml>
"""

FORMATS: dict[str, Callable[[Store, Path, Choice], int]] = {
    "csv": _csv,
    "parquet": _parquet,
    "ebird": _ebird,
    "dwca": _darwin_core,
}
