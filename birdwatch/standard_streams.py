"""Standard input, output and error where they are closed, full, or no longer read."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

__all__ = ["complete_streams", "discard_stdout"]


class _Lenient(io.FileIO):
    """A file that ignores write errors."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def complete_streams() -> None:
    """Open what is closed of the three standard streams, so that no file that is opened later becomes one of them.

    Writing to a stdout that was closed then fails as writing to a full one does. A stderr that is closed, full or read
    by nobody swallows: no run ends for a message, and its exit code still says how it ended. It is on a descriptor of
    its own, so that what libraries write to descriptor 2 can be bounded.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, and those below are open by now.
            os.open(os.devnull, mode)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    elif sys.stderr is sys.__stderr__ and sys.stderr is not None:
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Lenient(os.dup(2), "w", closefd=False)),
            encoding=sys.stderr.encoding,
            errors=sys.stderr.errors,
            line_buffering=True,
        )


def discard_stdout() -> None:
    """Send what is written to stdout, and what waits in its buffer, nowhere: it failed and would fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
