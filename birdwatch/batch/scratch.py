"""A temporary folder on the local disk for remote recordings, under their own names."""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from birdwatch.errors import SinkError, reason_of

__all__ = ["Scratch"]


class Scratch:
    """A folder in TMPDIR that goes at the end. Raises SinkError where there is no room for one."""

    def __init__(self) -> None:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="birdwatch-"))
        except OSError as error:
            raise self.full(error) from error
        self._number = itertools.count()
        self._prefix = re.compile(re.escape(f"{self._folder}/") + r"\d+/")

    def place(self, shown: Path) -> Path:
        """Where a recording called `shown` may be written, apart from all others. Raises SinkError."""
        path = self._folder / str(next(self._number)) / shown
        try:
            path.parent.mkdir(parents=True)
        except OSError as error:
            raise self.full(error) from error
        return path

    def shown(self, text: str) -> str:
        """A message with the names of recordings as they are elsewhere."""
        return self._prefix.sub("", text)

    def remove(self, path: Path) -> None:
        """Delete a recording that was written."""
        shutil.rmtree(self._folder / path.relative_to(self._folder).parts[0], ignore_errors=True)

    @staticmethod
    def full(error: OSError) -> SinkError:
        """The error where the disk refuses."""
        return SinkError(
            f"{tempfile.gettempdir()} cannot keep recordings while they are scored ({reason_of(error)}); make room, or "
            "name another folder in TMPDIR"
        )

    def close(self) -> None:
        """Delete everything."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
