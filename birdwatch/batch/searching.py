"""Which files of a local or remote folder are recordings, and which were skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import PurePosixPath

from birdwatch.audio.file import AUDIO_SUFFIXES

__all__ = ["LINK", "Search", "folder_left_out", "is_named_as_one"]

# Names that systems give to folders of deleted files and their own.
SYSTEM_FOLDERS = ("$recycle.bin", "system volume information", "lost+found", "recycler")
# Formats of recordings that cannot be decoded: reported in a folder, so that they are not assumed to be scored.
UNREAD_SUFFIXES = frozenset({".wac", ".w4v", ".zc", ".ra", ".rm", ".dsf", ".dff", ".mid", ".sd2"})
LINK = "a link to a folder"


@dataclass(slots=True)
class Search:
    """How folders are searched; what was left out: why, how often, and one of them."""

    recursive: bool
    include: Sequence[str]
    _left_out: dict[str, tuple[int, str]] = field(default_factory=dict)

    def wants(self, name: str, relative: str, shown: str) -> bool:
        """Whether a file called `name` is a recording to be scored; what only looks like one is noted as `shown`.

        relative: its path in the folder that was named.
        """
        suffix = PurePosixPath(name).suffix.lower()
        # Files that macOS writes beside each file on a card are not recordings.
        if not is_named_as_one(name) or name.startswith("._"):
            return False
        if self.include and not any(
            fnmatch(relative.lower(), pattern.lower()) or fnmatch(name.lower(), pattern.lower())
            for pattern in self.include
        ):
            return False
        if name.startswith("."):
            self.skip("a hidden file", shown)
        elif suffix in UNREAD_SUFFIXES:
            self.skip(f"a recording in a format that cannot be read ({suffix})", shown)
        else:
            return True
        return False

    def skip(self, kind: str, shown: str) -> None:
        """Note that something was left out."""
        count, first = self._left_out.get(kind, (0, shown))
        self._left_out[kind] = count + 1, first

    def lines(self) -> list[str]:
        """A line for each kind of what was left out."""
        return [
            f"birdwatch: left out: {kind}: {first}{f' and {count - 1} more' if count > 1 else ''}"
            for kind, (count, first) in sorted(self._left_out.items())
        ]


def is_named_as_one(name: str) -> bool:
    """Whether a file's name ends as those of recordings do."""
    return PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES | UNREAD_SUFFIXES


def folder_left_out(name: str) -> str:
    """Why a folder of that name is not searched, or an empty text."""
    if name.lower() in SYSTEM_FOLDERS or name.lower().startswith(".trash"):
        return "a recycle bin or system folder"
    return "a hidden folder" if name.startswith(".") else ""
