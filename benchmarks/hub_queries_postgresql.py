"""Times the query of every view of the hub in PostgreSQL, with the cache cold.

usage: python benchmarks/hub_queries_postgresql.py [--events 10000000] [--stations 100] [--years 3] [--folder FOLDER]
       [--repeat 10] [--clean]

The store is the one of hub_queries.py, in a server of its own (Debian's, with its default settings) in FOLDER, and is
kept there. Before each question the server is stopped, the pages of its files are dropped from the system's cache, and
it is started again; so each question reads from the disk, as far as this machine decides that: a virtual disk may have
a cache below. What is timed is the question, not the connecting. Prints the median and the highest of each view, in ms.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import psycopg
from hub_queries import (  # type: ignore[import-not-found]
    CHUNK,
    SPECIES,
    START_MS,
    _events,
    _listened,
    views,
)
from sqlalchemy import text

from birdwatch.hub.clock import HOUR_MS
from birdwatch.hub.store import Store


class Server:
    """PostgreSQL in `folder`, reached over a socket there."""

    def __init__(self, folder: Path) -> None:
        self._programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self._folder, self._data = folder, folder / "data"
        self._become = (
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        )
        if not self._data.exists():
            folder.mkdir(parents=True, exist_ok=True)
            if self._become:
                shutil.chown(folder, "postgres", "postgres")
            self._call("initdb", "-U", "hub", "-A", "trust", "-E", "UTF8", "--locale=C")

    @property
    def url(self) -> str:
        return f"postgresql://hub@/postgres?host={self._folder}"

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self._folder}"
        self._call("pg_ctl", "-w", "-t", "300", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._call("pg_ctl", "-w", "-t", "300", "-m", "fast", "stop")

    def drop_cache(self) -> None:
        """Drop the pages of the stopped server's files from the system's cache."""
        for path in self._data.rglob("*"):
            if path.is_file():
                file = os.open(path, os.O_RDONLY)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)

    def _call(self, program: str, *words: str) -> None:
        command = [*self._become, str(self._programs / program), "-D", str(self._data), *words]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)


def make(url: str, *, events: int, stations: int, years: int) -> None:
    """Fill an empty store."""
    store = Store(url)
    with store.writing() as connection:
        kept = connection.execute(
            text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'events' AND indexname <> 'events_pkey'")
        ).fetchall()
        for name, _ in kept:
            connection.execute(text(f"DROP INDEX {name}"))
    store.close()
    with psycopg.connect(url) as database:
        places = [(n, f"tcp://10.0.0.{n}:5570", f"s{n}", f"s{n}", 0, START_MS, "{}") for n in range(1, stations + 1)]
        _copy(database, "stations (id, origin, sent_name, name, unreadable, last_seen_ms, status)", places)
        kinds = [(n, f"sp{n:03d}", f"Bird {n:03d}", f"Genus species{n:03d}") for n in range(1, SPECIES + 1)]
        _copy(database, "species (id, code, name, scientific)", kinds)
        for first in range(0, events, CHUNK):
            count = min(CHUNK, events - first)
            rows = _events(np.random.default_rng(first), count, first, events, stations, years)
            columns = "events (id, station, species, start_ms, end_ms, score, uid, clip)"
            _copy(database, columns, ((*row, 1) for row in rows))
            print(f"{first + count} events", flush=True)
        _copy(database, "listened (station, hour, seconds)", _listened(stations, years * 365 * 24))
        week = f"((start_ms / {HOUR_MS} + 72) / 168)"
        for statement in (
            f"""INSERT INTO species_weeks
            SELECT species, {week}, start_ms / {HOUR_MS} % 24, count(*) FROM events GROUP BY 1, 2, 3""",
            """INSERT INTO species_stations
            SELECT species, station, count(*), min(start_ms), max(start_ms) FROM events GROUP BY 1, 2""",
            "INSERT INTO effort_weeks SELECT (hour + 72) / 168, hour % 24, sum(seconds) FROM listened GROUP BY 1, 2",
            "UPDATE events SET verdict = 'right', verdict_by = 'Ann', verdict_ms = start_ms WHERE id % 500 = 0",
            *(statement for _, statement in kept),
        ):
            database.execute(statement.encode())
        database.commit()
        database.autocommit = True
        database.execute("VACUUM ANALYZE")
        database.execute("CHECKPOINT")


def _copy(database: psycopg.Connection, columns: str, rows: object) -> None:
    with database.cursor().copy(f"COPY {columns} FROM STDIN".encode()) as copy:
        for row in rows:  # type: ignore[attr-defined]
            copy.write_row(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--stations", type=int, default=100)
    parser.add_argument("--years", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/hub_queries_postgresql"))
    parser.add_argument("--clean", action="store_true", help="remove the store at the end")
    given = parser.parse_args()
    server = Server(given.folder)
    made = given.folder / "made"
    server.start()
    try:
        if not made.exists():
            began = time.perf_counter()
            make(server.url, events=given.events, stations=given.stations, years=given.years)
            made.touch()
            print(f"made in {time.perf_counter() - began:.0f} s", flush=True)
        with psycopg.connect(server.url) as database:
            row = database.execute("SELECT count(*), pg_database_size('postgres') FROM events").fetchone()
            assert row is not None
            print(f"{row[0]} events, {row[1] / 1e9:.2f} GB")
        pick = random.Random(1)
        print(f"{'view':36} {'p50 ms':>8} {'max ms':>8}")
        for name, ask in views(given.years).items():
            took = []
            for _ in range(given.repeat):
                server.stop()
                server.drop_cache()
                server.start()
                store = Store(server.url, read_only=True)
                with store.reading() as connection:
                    connection.execute(text("SELECT 1"))
                    began = time.perf_counter()
                    ask(connection, pick)
                    took.append(1000 * (time.perf_counter() - began))
                store.close()
            print(f"{name:36} {np.percentile(took, 50):8.1f} {max(took):8.1f}", flush=True)
    finally:
        server.stop()
    if given.clean:
        shutil.rmtree(given.folder)


if __name__ == "__main__":
    main()
