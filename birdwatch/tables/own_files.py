"""Records which files birdwatch wrote, so that it never replaces a table that a person made, reviewed or corrected.

Beside a table, or a folder of them, is a list, `.birdwatch-written`: the SHA-256 and the name of each, as `sha256sum`
writes them. A file is birdwatch's own where its bytes stand there under its name. Parquet files of a run need none:
their footer says that they are, and neither pandas nor Polars nor DuckDB keeps that when it writes. pyarrow does: a
table that was read, changed and written with it still counts as birdwatch's own.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from types import MappingProxyType
from typing import IO

from birdwatch.atomic_write import Identities, check_writable, written_beside
from birdwatch.errors import BirdwatchError, SinkError, reason_of
from birdwatch.tables.parquet import metadata_of, open_parquet
from birdwatch.wording import counted

__all__ = ["LIST", "OwnFiles", "check_replaceable", "table_beside"]

LIST = ".birdwatch-written"
# An empty file or a few words in one line are not a table.
PLACEHOLDER = re.compile(rb"\s*[\w ]{0,60}\s*")
PARQUET = b"PAR1"


class OwnFiles:
    """The files that birdwatch wrote at `out`, one file or a folder of them, according to the list beside it."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._place = out.resolve()
        beside = self._place.parent
        # Of a folder that may be filled but has neighbours that may not.
        inside = self._place.is_dir() and not os.access(beside, os.W_OK)
        self._list = (self._place if inside else beside) / LIST
        self._lines: set[bytes] | None = None

    def check(self, paths: Iterable[Path]) -> None:
        """Raise SinkError if one of `paths`, `out` or files in it, is not what birdwatch wrote."""
        found = [(path, reason) for path in paths if (reason := self._strange(path)) is not None]
        if found:
            path, reason = found[0]
            more = counted(len(found) - 1, "more file")
            others = f", as would {more} there" if len(found) > 1 else ""
            raise SinkError(
                f"{path} {reason} and would be replaced{others}; move it away, or name another place to write",
                path=path,
            )

    def _strange(self, path: Path) -> str | None:
        """Why a file must not be replaced, None where it is birdwatch's own or is not there."""
        if not path.is_file() or _is_of_a_run(path):
            return None
        lines = self._read()
        if self._line(path, path) in lines:
            return None
        # Behind the digest and two blanks.
        name = self._name(path)
        if any(line[66:] == name for line in lines):
            return "was changed after birdwatch wrote it"
        return f"was not written by birdwatch (it is not in {LIST})"

    def note(self, path: Path, written: Path) -> None:
        """List `path`, whose bytes lie ready in `written`. Before it is replaced, so that no kill comes between."""
        if _is_of_a_run(written):
            return
        line = self._line(path, written)
        if line in self._read():
            return
        with self._list.open("ab+") as stream:
            # A power cut may have left half a line.
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 1))
            begun = stream.read(1) not in (b"", b"\n")
            stream.write(b"\n" * begun + line + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._read().add(line)

    def _read(self) -> set[bytes]:
        if self._lines is None:
            try:
                self._lines = set(self._list.read_bytes().split(b"\n"))
            except FileNotFoundError:
                self._lines = set()
            except OSError as error:
                raise SinkError(f"{self._list} cannot be read ({reason_of(error)})", path=self._list) from error
        return self._lines

    def _name(self, path: Path) -> bytes:
        inner = self._place.name / path.relative_to(self._out)
        return os.fsencode(inner).replace(b"\\", b"\\\\").replace(b"\n", b"\\n")

    def _line(self, path: Path, content: Path) -> bytes:
        with _opened(content, path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest().encode() + b"  " + self._name(path)


def check_replaceable(path: Path, *, inputs: Identities = MappingProxyType({})) -> None:
    """Raise SinkError where `path`, one table or page, cannot be written, or holds what birdwatch did not write.

    An empty file or a few words in a line may be replaced. inputs: as `check_writable` has them.
    """
    check_writable(path, inputs=inputs)
    if path.exists() and not PLACEHOLDER.fullmatch(_begins(path, 64)):
        OwnFiles(path).check([path])


@contextmanager
def table_beside(path: Path, *, binary: bool = False, own: OwnFiles | None = None) -> Iterator[IO[str] | IO[bytes]]:
    """As `written_beside`, for tables and pages: only birdwatch's own file is replaced, and the new one is listed.

    own: of the folder that `path` lies in, where it is one table of many.
    """
    if own is None:
        check_replaceable(path)
    else:
        own.check([path])
    files = own or OwnFiles(path)
    with written_beside(path, binary=binary, ready=lambda written: files.note(path, written)) as stream:
        yield stream


@contextmanager
def _opened(path: Path, shown: Path) -> Iterator[BufferedReader]:
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise SinkError(
            f"{shown} cannot be read ({reason_of(error)}), so it is not known whether it may be replaced", path=shown
        ) from error


def _begins(path: Path, count: int) -> bytes:
    with _opened(path, path) as stream:
        return stream.read(count)


def _is_of_a_run(path: Path) -> bool:
    """Whether it is Parquet whose footer tells of a run."""
    if _begins(path, len(PARQUET)) != PARQUET:
        return False
    try:
        with open_parquet(path, ()) as file:
            return bool(metadata_of(file))
    except (BirdwatchError, ValueError):
        return False
