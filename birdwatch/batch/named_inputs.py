"""The recordings of a run without duplicates, in the order in which they were found, each with a unique name.

They are in a temporary database, not in memory: an archive has millions.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from birdwatch.batch.remote_inputs import whole_key
from birdwatch.batch.temporary_database import of_text, temporary_database, text_again, with_room
from birdwatch.paths import text_of

__all__ = ["Found", "Input", "Inputs"]

# key: the URL or the resolved path. short: relative to the folder that was named. here: as it was named, null for what
# is elsewhere. whole: whether its path is all of its key.
TABLE = """
CREATE TABLE found (
    number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, short BLOB NOT NULL, here BLOB, name BLOB NOT NULL,
    whole INTEGER NOT NULL DEFAULT 0)
"""
# A name that several have becomes a longer one.
LONGER = """
UPDATE found SET name = longer(?, short, here, key)
WHERE name IN (SELECT name FROM found GROUP BY name HAVING count(*) > 1)
"""
WHOLE = """
UPDATE found SET whole = 1 WHERE here IS NULL AND short IN (
    SELECT shown FROM (SELECT ifnull(here, short) AS shown FROM found) GROUP BY shown HAVING count(*) > 1)
"""


@dataclass(frozen=True, slots=True)
class Input:
    """A recording that was asked for. name: what tables call it, unique in a run.

    url: where it is, if it is no file here; path is then its key relative to the folder that was named, or its whole
    key where two would be the same.
    """

    name: str
    path: Path
    url: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A recording without a name yet.

    key: its URL or resolved path. short: its path relative to the folder that was named, with `/`. here: its path as
    it was named, None for what is elsewhere.
    """

    key: str
    short: str
    here: str | None = None


class Inputs:
    """Recordings in order; `url in inputs` tells whether one of them is there."""

    def __init__(self) -> None:
        self._db = temporary_database()
        self._close = weakref.finalize(self, self._db.close)
        self._db.create_function("longer", 4, _longer, deterministic=True)
        self._db.execute(TABLE)

    def add(self, found: Iterable[Found]) -> bool:
        """Add those that are not there yet; whether there was any. Raises SinkError, and what `found` raises."""
        count = 0

        def rows() -> Iterator[tuple[bytes, bytes, bytes | None, bytes]]:
            nonlocal count
            for one in found:
                count += 1
                here = None if one.here is None else of_text(one.here)
                yield of_text(one.key), of_text(one.short), here, of_text(text_of(_without_suffix(one.short)))

        with with_room():
            self._db.execute("BEGIN")
            try:
                self._db.executemany("INSERT OR IGNORE INTO found (key, short, here, name) VALUES (?, ?, ?, ?)", rows())
            finally:
                self._db.execute("COMMIT")
        return count > 0

    def give_names(self) -> None:
        """Make names longer until no two are the same, and paths of what is elsewhere."""
        with with_room():
            for form in range(3):
                if not self._db.execute(LONGER, (form,)).rowcount:
                    break
            if self.remote:
                self._db.execute(WHOLE)

    @property
    def remote(self) -> bool:
        """Whether any is elsewhere."""
        return self._db.execute("SELECT 1 FROM found WHERE here IS NULL LIMIT 1").fetchone() is not None

    def __len__(self) -> int:
        count: int = self._db.execute("SELECT count(*) FROM found").fetchone()[0]
        return count

    def __contains__(self, url: object) -> bool:
        there = self._db.execute("SELECT 1 FROM found WHERE key = ? AND here IS NULL", (of_text(str(url)),))
        return there.fetchone() is not None

    def __iter__(self) -> Iterator[Input]:
        with with_room():
            for key, short, here, name, whole in self._db.execute(
                "SELECT key, short, here, name, whole FROM found ORDER BY number"
            ):
                if here is not None:
                    yield Input(text_again(name), Path(text_again(here)))
                else:
                    url = text_again(key)
                    yield Input(text_again(name), Path(whole_key(url) if whole else text_again(short)), url)


def _without_suffix(short: str) -> str:
    name = short.rpartition("/")[2]
    dot = name.rfind(".")
    return short[: dot - len(name)] if 0 < dot < len(name) - 1 else short


def _longer(form: int, short: bytes, here: bytes | None, key: bytes) -> bytes:
    """A longer name. Names become files in a folder of tables: none of them may lead out of it."""
    if form == 0:
        return of_text(text_of(text_again(short)))
    if form == 1:
        whole = Path(whole_key(text_again(key)) if here is None else text_again(here))
        return of_text(text_of("/".join(part for part in whole.parts if part not in (whole.anchor, ".."))))
    if here is None:
        return of_text(text_again(key).replace("://", "/", 1))
    return of_text(text_of("/".join(Path(text_again(key)).parts[1:])))
