"""A folder of files that is bounded in size and age by removing the oldest, and keeps some disk space free."""

from __future__ import annotations

import logging
import os
import shutil
from collections import deque
from contextlib import suppress
from pathlib import Path

__all__ = ["MIN_FREE_BYTES", "BoundedFolder"]

log = logging.getLogger(__name__)

# Below this free space nothing is written, so that the rest of the machine keeps some.
MIN_FREE_BYTES = 200_000_000


class BoundedFolder:
    """The files of `folder` whose names end in one of `suffixes`; others are never touched.

    max_bytes: of all of them together. max_age_s: by modification time, None for any age. It may be shared by several
    writers. `removed` counts; `left` counts files that could not be removed, which no longer count towards max_bytes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        suffixes: tuple[str, ...],
        max_age_s: float | None = None,
        min_free_bytes: int = MIN_FREE_BYTES,
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self.removed = self.left = 0
        self._suffixes = suffixes
        self._min_free_bytes = min_free_bytes
        # (modified, size, path), the oldest first; the folder is read once, if it is there before there is anything to
        # be late for: a folder of 300 000 files takes seconds.
        self._files: deque[tuple[float, int, str]] | None = None
        self._bytes = 0
        with suppress(OSError):
            self._listed()

    def make_room(self, now_s: float | None = None) -> None:
        """Make the folder, and remove the oldest files while all together are too large or too old.

        now_s: seconds since 1970, for the age. Raises OSError where it cannot be made or its disk is nearly full.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._prune(now_s)
        free = shutil.disk_usage(self.folder).free
        if free < self._min_free_bytes:
            raise OSError(f"only {free / 1e6:.0f} MB are free on its disk")

    def add(self, path: Path, modified_s: float, size: int) -> None:
        """Count a file that was written."""
        files = self._listed()
        files.append((modified_s, size, os.fspath(path)))
        self._bytes += size
        self._prune(None)

    def _prune(self, now_s: float | None) -> None:
        files = self._listed()
        oldest_s = None if now_s is None or self.max_age_s is None else now_s - self.max_age_s
        # The newest stays, since an event's message is about to refer to it.
        while len(files) > 1 and (self._bytes > self.max_bytes or (oldest_s is not None and files[0][0] < oldest_s)):
            _, size, path = files.popleft()
            self._bytes -= size
            self._remove(path)

    def _remove(self, path: str) -> None:
        """A file that is gone is removed; one that another user owns, or a folder in its place, is left alone."""
        try:
            Path(path).unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            if not self.left:
                log.warning("%s cannot be removed (%s); the folder may grow by it", path, error.strerror)
            self.left += 1
            return
        self.removed += 1

    def _listed(self) -> deque[tuple[float, int, str]]:
        if self._files is None:
            found = []
            with os.scandir(self.folder.absolute()) as entries:
                for entry in entries:
                    if entry.name.endswith(self._suffixes) and entry.is_file(follow_symlinks=False):
                        stat = entry.stat(follow_symlinks=False)
                        found.append((stat.st_mtime, stat.st_size, entry.path))
            self._files = deque(sorted(found))
            self._bytes = sum(size for _, size, _ in found)
        return self._files
