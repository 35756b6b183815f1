"""The recordings of a run: turns files, folders, URLs and lists into named paths in a fixed order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from birdwatch.batch.named_inputs import Found, Inputs
from birdwatch.batch.remote_inputs import find_remote
from birdwatch.batch.searching import LINK, Search, folder_left_out, is_named_as_one
from birdwatch.errors import ConfigError
from birdwatch.paths import is_url, text_of

__all__ = ["find_inputs"]

# How recordings begin, whatever their name: (first byte, bytes).
BEGINNINGS = (
    *(
        (0, magic)
        for magic in (b"fLaC", b"OggS", b"ID3", b"wvpk", b"TTA1", b"caff", b"FORM", b".snd", b"#!AMR", b"MAC ")
    ),
    *((4, b"ftyp" + brand) for brand in (b"M4A", b"mp4", b"isom", b"3gp", b"qt  ")),
    (8, b"WAVE"),
)


def find_inputs(
    arguments: Sequence[str],
    *,
    recursive: bool = True,
    include: Sequence[str] = (),
    allow_empty: bool = False,
    notice: Callable[[str], None] = lambda line: None,
) -> Inputs:
    """The recordings that files, folders, URLs, `@list.txt` and `-` (a list on stdin) stand for, each once.

    A file's name is its own without the suffix, inside a folder its path relative to that folder without the suffix.
    Where that makes two of them the same they keep their suffix, and if that does not help their whole path.
    include: patterns such as `*.wav` that the files of a folder must match; letters' case does not matter, since
    recorders write `.WAV`. allow_empty: folders and lists without a recording are not an error. notice: is called with
    a line for each kind of file or folder that was left out: hidden ones, recycle bins, links to folders, folders
    without permission, formats that cannot be read. Raises ConfigError
    for a list that cannot be read, a folder without recordings, a URL that cannot be used, or nothing.
    """
    inputs = Inputs()
    search = Search(recursive, include)
    for text in _arguments(arguments):
        path = Path(text)
        if not inputs.add(_found(text, path, search)) and not allow_empty:
            for line in search.lines():
                notice(line)
            matching = f" that matches {' or '.join(include)}" if include else ""
            raise ConfigError(
                f"{text if is_url(text) else path} holds no recording{matching}; expected files such as .wav, .flac, "
                ".ogg or .mp3 in it",
                path=None if is_url(text) else path,
            )
    for line in search.lines():
        notice(line)
    if not inputs and not allow_empty:
        raise ConfigError("no recording was named: the list is empty; expected one path per line")
    inputs.give_names()
    return inputs


def _found(text: str, path: Path, search: Search) -> Iterator[Found]:
    """What one argument stands for, in order of paths."""
    if is_url(text):
        yield from (Found(url, short) for short, url in find_remote(text, search))
    elif _is_folder(path):
        for short in _in_folder(path, "", search):
            yield Found(str(_resolved(path / short)), short, str(path / short))
    else:
        yield Found(str(_resolved(path)), path.name or ".", str(path))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        # A loop of links, an impossible name: opening it gives the error.
        return path.absolute()


def _arguments(arguments: Iterable[str]) -> Iterator[str]:
    for argument in arguments:
        if not argument:
            raise ConfigError("a recording's name is empty; expected a file, a folder, @list.txt or -")
        if argument == "-":
            try:
                text = sys.stdin.read()
            except (OSError, ValueError, AttributeError) as error:
                raise ConfigError(f"the list on stdin cannot be read ({error}); expected one path per line") from error
            yield from _listed(text, "on stdin")
        elif argument.startswith("@") and not os.path.lexists(argument):
            try:
                text = Path(argument[1:]).read_text(encoding="utf-8-sig", errors="surrogateescape")
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise ConfigError(
                    f"the list {argument[1:]} cannot be read ({reason}); expected one path per line",
                    path=Path(argument[1:]),
                ) from error
            yield from _listed(text, argument[1:])
        else:
            yield argument


def _listed(text: str, source: str) -> Iterator[str]:
    if "\0" in text:
        raise ConfigError(f"the list {source} holds NUL characters (UTF-16?); expected UTF-8 text, one path per line")
    return (line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _in_folder(folder: Path, inside: str, search: Search) -> Iterator[str]:
    """The recordings of a folder, `inside` the one that was named; files and folders in one order, as paths have it.

    What is in one folder is in memory, and no more.
    """
    try:
        with os.scandir(folder / inside) as there:
            entries = sorted((entry.name, _is_folder_here(entry), entry.is_symlink()) for entry in there)
    except OSError as error:
        search.skip(f"a folder that cannot be opened ({error.strerror})", text_of(folder / inside))
        return
    for name, is_folder, is_link in entries:
        relative = inside + name
        if is_folder:
            kind = folder_left_out(name) or (LINK if is_link else "")
            if search.recursive and kind:
                search.skip(kind, text_of(folder / relative))
            elif search.recursive:
                yield from _in_folder(folder, relative + "/", search)
        elif _is_recording(folder / relative, relative, search):
            yield relative


def _is_folder_here(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_recording(path: Path, relative: str, search: Search) -> bool:
    if path.name.startswith("._"):
        return False  # what macOS leaves beside a file on a card: not a recording
    if not is_named_as_one(path.name):
        if _begins_as_recording(path):
            search.skip("a recording whose name does not end as one; name it outright", text_of(path))
        return False
    if not search.wants(path.name, text_of(relative), text_of(path)):
        return False
    if not path.is_file():
        search.skip("no ordinary file (a pipe, a socket, a broken link)", text_of(path))
        return False
    return True


def _begins_as_recording(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError:
        return False
    return any(head.startswith(magic, at) for at, magic in BEGINNINGS)
