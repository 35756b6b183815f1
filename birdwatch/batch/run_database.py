"""The run database: the results of each recording, stored beside the output so that an interrupted run can be resumed.

One SQLite file. The pieces of a recording are written as they come and count only once it is marked done; what a kill
leaves unfinished is deleted when the database is opened again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birdwatch.audio.types import FloatArray
from birdwatch.batch.jobs import Job
from birdwatch.errors import ConfigError, SinkError
from birdwatch.wording import counted

__all__ = ["PRESENT", "Entry", "Facts", "Kind", "Piece", "RunDatabase", "database_path"]

# The version of the tables below; databases of other versions are refused.
SCHEMA = 3
# `items` are the scores of a section (birdwatch.cluster.section_items); the run database has none.
Kind = Literal["windows", "events", "segments", "items"]
# Its kind, its number within the kind from 0 on, and its bytes.
Piece = tuple[Kind, int, bytes]
PRESENT = np.dtype([("label", "<i4"), ("score", "<f4")])

TABLES = """
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE recording (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, channel INTEGER NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0, frames INTEGER, silent INTEGER, unscored INTEGER,
    windows INTEGER, present BLOB, warning TEXT, UNIQUE (path, channel));
CREATE TABLE piece (
    recording INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (recording, kind, number));
"""


NO_FLOORS: FloatArray = np.zeros(0, np.float32)


def database_path(out: Path, model: int = 1) -> Path:
    """The path of the database of a run that writes `out`; one for each of several models, from 1."""
    return out.with_name(out.name + (".journal" if model == 1 else f".{model}.journal"))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a scored recording. Frames at the model's rate: all, of digital silence, and in no window.

    present: `(n,)` of `PRESENT`, the classes whose maximum over the recording reached their limit, with that maximum.
    """

    frames: int
    silent_frames: int
    unscored_frames: int
    windows: int
    present: npt.NDArray[np.void]
    warning: str


@dataclass(frozen=True, slots=True)
class Entry(Facts):
    """A recording that is done: what is known of it, and its number in the database."""

    id: int


class RunDatabase:
    """Open it with the run's `parameters`; safe to write to from several threads.

    floors: the score of each class from which its rows are kept, `(classes,)`. resume: continue with the database that
    is there. Its parameters must be the same, or ConfigError says which differ; higher floors are met by what it holds,
    lower ones are refused, since it lacks those rows. Without `resume` a database that holds results is refused, so
    that a forgotten option does not delete a night's work.
    """

    def __init__(
        self, path: Path, parameters: Mapping[str, Any], *, resume: bool, floors: FloatArray = NO_FLOORS
    ) -> None:
        self.path = path
        self._floors = floors
        self._lock = threading.Lock()
        # Refused or interrupted while it opens, the lock goes with the connection.
        with ExitStack() as closing:
            try:
                self._db = closing.enter_context(
                    contextlib.closing(
                        sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1.0)
                    )
                )
                self._begin_run(parameters, resume=resume)
            except sqlite3.OperationalError as error:
                if "locked" in str(error):
                    raise SinkError(
                        f"another run is writing to {path}; wait for it, or choose another --out"
                    ) from error
                raise SinkError(f"the run database {path} cannot be written ({error})") from error
            except sqlite3.DatabaseError as error:
                raise SinkError(f"{path} is not a run database of birdwatch ({error}); move it away") from error
            closing.pop_all()

    def _begin_run(self, parameters: Mapping[str, Any], *, resume: bool) -> None:
        # One run at a time, and no files of shared memory, which network drives do not have.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN EXCLUSIVE")
        if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._check(parameters, resume=resume)
        else:
            self._create(parameters)
        self._db.execute("DELETE FROM piece WHERE recording NOT IN (SELECT id FROM recording WHERE done)")
        self._db.execute("DELETE FROM recording WHERE NOT done")
        self._db.execute("COMMIT")

    def _create(self, parameters: Mapping[str, Any]) -> None:
        for statement in TABLES.split(";"):
            self._db.execute(statement)
        values = {"schema": SCHEMA, "parameters": parameters, "floors": self._floors.tolist()}
        self._db.executemany("INSERT INTO run VALUES (?, ?)", [(k, json.dumps(v)) for k, v in values.items()])

    def _check(self, parameters: Mapping[str, Any], *, resume: bool) -> None:
        values = {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM run")}
        if values.get("schema") != SCHEMA:
            raise ConfigError(
                f"{self.path} was written by another version of birdwatch (schema {values.get('schema')}, this one "
                f"reads {SCHEMA}); delete it and start again"
            )
        done = self._db.execute("SELECT count(*) FROM recording WHERE done").fetchone()[0]
        # A database that is only kept for its failed recordings has no results that are not in the tables.
        if not resume and done and not values.get("written"):
            raise ConfigError(
                f"{self.path} holds {counted(done, 'recording')} that an interrupted run has scored; "
                "add --resume to continue, or delete it to start again"
            )
        if not resume:
            for table in ("run", "recording", "piece"):
                self._db.execute(f"DROP TABLE {table}")
            self._create(parameters)
            return
        was, now = values["parameters"], json.loads(json.dumps(parameters))
        changed = [
            f"{key} was {was.get(key)!r} and is {now.get(key)!r}"
            for key in sorted(was.keys() | now.keys())
            # Rows are kept from the floors on, so a higher least score needs nothing scored again.
            if was.get(key) != now.get(key) and key != "min_score"
        ]
        if changed:
            raise ConfigError(
                f"--resume cannot continue, the results would not belong together: {'; '.join(changed)}. "
                f"Use the same as before, or delete {self.path} to start again"
            )
        kept = np.asarray(values["floors"], np.float32)
        if kept.shape == self._floors.shape and (self._floors < kept).any():
            raise ConfigError(
                f"--resume cannot list scores as low as asked for: {self.path} keeps rows from "
                f"{kept[self._floors < kept].min():g} on. Use that --min-score or a higher one, or delete it to score "
                "again"
            )
        self._floors = kept
        self._db.execute("DELETE FROM run WHERE key = 'written'")

    @property
    def floors(self) -> FloatArray:
        """The score of each class from which the rows in the database are kept."""
        return self._floors

    def find(self, job: Job) -> Entry | None:
        """The results of the recording, if it is done and the file has not changed."""
        row = self._execute(
            "SELECT id, frames, silent, unscored, windows, present, warning FROM recording "
            "WHERE path = ? AND channel = ? AND size = ? AND mtime_ns = ? AND done",
            (*job.key, job.size_bytes, job.mtime_ns),
        ).fetchone()
        if row is None:
            return None
        number, frames, silent, unscored, windows, present, warning = row
        return Entry(frames, silent, unscored, windows, np.frombuffer(present, PRESENT), warning, number)

    def begin(self, job: Job) -> int:
        """A recording whose pieces come before it is done; results of an earlier state of it are removed. Its id."""
        with self._transaction():
            return self._insert(job)

    def add(self, recording: int, piece: Piece) -> None:
        """Keep a piece of a recording that has begun."""
        with self._transaction():
            self._insert_pieces(recording, [piece])

    def finish(self, job: Job, recording: int | None, pieces: Sequence[Piece], facts: Facts) -> None:
        """The recording is done, with its last pieces: from now on it counts. recording: its id, if it has begun.

        One transaction, so that ten thousand short recordings wait for the disk ten thousand times and no more.
        """
        with self._transaction():
            recording = self._insert(job) if recording is None else recording
            self._insert_pieces(recording, pieces)
            self._db.execute(
                "UPDATE recording SET done = 1, frames = ?, silent = ?, unscored = ?, windows = ?, present = ?, "
                "warning = ? WHERE id = ?",
                (
                    facts.frames,
                    facts.silent_frames,
                    facts.unscored_frames,
                    facts.windows,
                    facts.present.tobytes(),
                    facts.warning,
                    recording,
                ),
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                self._db.execute("BEGIN")
                yield
                self._db.execute("COMMIT")
            except sqlite3.OperationalError as error:
                raise SinkError(
                    f"the run database {self.path} cannot be written ({error}); is the disk full?"
                ) from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _insert(self, job: Job) -> int:
        old = "SELECT id FROM recording WHERE path = ? AND channel = ?"
        self._db.execute(f"DELETE FROM piece WHERE recording IN ({old})", job.key)
        self._db.execute("DELETE FROM recording WHERE path = ? AND channel = ?", job.key)
        cursor = self._db.execute(
            "INSERT INTO recording (path, channel, size, mtime_ns) VALUES (?, ?, ?, ?)",
            (*job.key, job.size_bytes, job.mtime_ns),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _insert_pieces(self, recording: int, pieces: Sequence[Piece]) -> None:
        rows = [(recording, number, kind, data) for kind, number, data in pieces]
        self._db.executemany("INSERT INTO piece VALUES (?, ?, ?, ?)", rows)

    def pieces(self, entry: Entry, kind: Kind) -> Iterator[bytes]:
        """A recording's pieces in order, one at a time in memory."""
        number = 0
        while True:
            row = self._execute(
                "SELECT data FROM piece WHERE recording = ? AND kind = ? AND number = ?", (entry.id, kind, number)
            ).fetchone()
            if row is None:
                return
            yield row[0]
            number += 1

    def _execute(self, statement: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        with self._lock:
            try:
                return self._db.execute(statement, values)
            except sqlite3.OperationalError as error:
                raise SinkError(
                    f"the run database {self.path} cannot be written ({error}); is the disk full?"
                ) from error

    def written(self) -> None:
        """All outputs are written: a new run may delete the database."""
        self._execute("INSERT OR REPLACE INTO run VALUES ('written', 'true')", ())

    def remove(self) -> None:
        """Close it and delete it, since all tables are written."""
        self._db.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> RunDatabase:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
