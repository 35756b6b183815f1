"""Finds the recordings at a URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from birdwatch.batch.locations import check_url, entries, is_folder
from birdwatch.batch.searching import Search, folder_left_out
from birdwatch.errors import ConfigError, SourceError
from birdwatch.paths import MAX_NAME_BYTES, file_name

__all__ = ["find_remote", "whole_key"]

# Names that mean another folder on a disk, where a recording is kept while it is scored.
NO_NAMES = (".", "..")
# Characters, of up to four bytes each, that every disk allows.
SURELY_SHORT = MAX_NAME_BYTES // 4


def find_remote(url: str, search: Search) -> Iterator[tuple[str, str]]:
    """The recordings at `url`, in order of paths: the path relative to it, with `/`, and the URL, of each.

    Raises ConfigError where it holds credentials, or cannot be used or listed.
    """
    check_url(url)
    if not is_folder(url):
        yield whole_key(url).rpartition("/")[2], url
        return
    try:
        for relative, place in _in_folder(url, "", search):
            yield _path(relative), place
    except SourceError as error:
        raise ConfigError(str(error)) from error


def _in_folder(folder: str, inside: str, search: Search) -> Iterator[tuple[str, str]]:
    """The recordings of a folder, `inside` the one that was named; files and folders in one order, as paths have it."""
    for entry in entries(folder):
        relative = inside + entry.name
        if entry.name in NO_NAMES or "/" in entry.name:
            search.skip("a name that is no file's", entry.url)
        elif not entry.folder:
            if search.wants(entry.name, relative, entry.url):
                yield relative, entry.url
        elif search.recursive:
            kind = folder_left_out(entry.name)
            if kind:
                search.skip(kind, entry.url)
            else:
                yield from _in_folder(entry.url + "/", relative + "/", search)


def whole_key(url: str) -> str:
    """A recording's bucket and key as a path, with `/`."""
    scheme, _, rest = url.partition("://")
    return _path(unquote(rest) if scheme.lower().startswith("http") else rest)


def _path(text: str) -> str:
    """A key as a path that lies in no other folder, with names that a disk can have."""
    parts = (part for part in text.replace("\0", "").split("/") if part not in ("", *NO_NAMES))
    return "/".join(part if len(part) <= SURELY_SHORT else _shortened(PurePosixPath(part)) for part in parts)


def _shortened(part: PurePosixPath) -> str:
    return file_name(part.stem, part.suffix)
