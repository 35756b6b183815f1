"""The recordings of a run: files, folders, URLs and lists become paths with a name each, in a fixed order."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from birdwatch.batch.remote_inputs import find_remote, whole_key
from birdwatch.batch.searching import LINK, Search, folder_left_out, is_named_as_one
from birdwatch.errors import ConfigError
from birdwatch.paths import is_url, text_of

__all__ = ["Input", "find_inputs"]

# How recordings begin, whatever their name: (first byte, bytes).
BEGINNINGS = (
    *(
        (0, magic)
        for magic in (b"fLaC", b"OggS", b"ID3", b"wvpk", b"TTA1", b"caff", b"FORM", b".snd", b"#!AMR", b"MAC ")
    ),
    *((4, b"ftyp" + brand) for brand in (b"M4A", b"mp4", b"isom", b"3gp", b"qt  ")),
    (8, b"WAVE"),
)


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
class _Found:
    """short: relative to the folder that was named. here: as it was named, None for what is elsewhere, at `url`."""

    short: Path
    here: Path | None
    url: str = ""

    @property
    def whole(self) -> Path:
        """All of its path; made when it is asked for, since a million of them take much room."""
        return whole_key(self.url) if self.here is None else self.here


def find_inputs(
    arguments: Sequence[str],
    *,
    recursive: bool = True,
    include: Sequence[str] = (),
    allow_empty: bool = False,
    notice: Callable[[str], None] = lambda line: None,
) -> list[Input]:
    """The recordings that files, folders, URLs, `@list.txt` and `-` (a list on stdin) stand for, each once.

    A file's name is its own without the suffix, inside a folder its path relative to that folder without the suffix.
    Where that makes two of them the same they keep their suffix, and if that does not help their whole path.
    include: patterns such as `*.wav` that the files of a folder must match; letters' case does not matter, since
    recorders write `.WAV`. allow_empty: folders and lists without a recording are not an error. notice: is called with
    a line for each kind of file or folder that was left out: hidden ones, recycle bins, links to folders, folders
    without permission, formats that cannot be read. Raises ConfigError
    for a list that cannot be read, a folder without recordings, a URL that cannot be used, or nothing.
    """
    found: dict[Path | str, _Found] = {}
    search = Search(recursive, include)
    for text in _arguments(arguments):
        if is_url(text):
            inside = [_Found(short, None, url) for short, url in find_remote(text, search)]
        elif _is_folder(path := Path(text)):
            inside = [_Found(item.relative_to(path), item) for item in sorted(_in_folder(path, search))]
        else:
            inside = [_Found(Path(path.name), path)]
        if not inside and not allow_empty:
            for line in search.lines():
                notice(line)
            matching = f" that matches {' or '.join(include)}" if include else ""
            raise ConfigError(
                f"{text if is_url(text) else path} holds no recording{matching}; expected files such as .wav, .flac, "
                ".ogg or .mp3 in it",
                path=None if is_url(text) else path,
            )
        for one in inside:
            found.setdefault(one.url or _resolved(one.whole), one)
    for line in search.lines():
        notice(line)
    if not found and not allow_empty:
        raise ConfigError("no recording was named: the list is empty; expected one path per line")
    return _named(list(found.values()))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        # A loop of links, a name that no file can have: opening it will say so.
        return path.absolute()


def _named(found: list[_Found]) -> list[Input]:
    names = [text_of(one.short.with_suffix("")) if one.short.name else text_of(one.short) for one in found]
    # Names become files in a folder of tables: none of them may lead out of it.
    forms: tuple[Callable[[_Found], str], ...] = (
        lambda one: text_of(one.short),
        lambda one: text_of("/".join(part for part in one.whole.parts if part not in (one.whole.anchor, ".."))),
        lambda one: one.url.replace("://", "/", 1) or text_of("/".join(_resolved(one.whole).parts[1:])),
    )
    for longer in forms:
        count = Counter(names)
        names = [name if count[name] == 1 else longer(one) for name, one in zip(names, found, strict=True)]
    shown = Counter(one.short if one.url else one.whole for one in found)
    paths = [one.short if one.url and shown[one.short] == 1 else one.whole for one in found]
    return [Input(name, path, one.url) for name, path, one in zip(names, paths, found, strict=True)]


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


def _in_folder(folder: Path, search: Search) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        search.skip(f"a folder that cannot be opened ({error.strerror})", text_of(Path(error.filename)))

    for name, folders, files in os.walk(folder, onerror=refused):
        parent = Path(name)
        for inner in list(folders):
            kind = folder_left_out(inner) or (LINK if (parent / inner).is_symlink() else "")
            if kind or not search.recursive:
                folders.remove(inner)
            if kind and search.recursive:
                search.skip(kind, text_of(parent / inner))
        for file in files:
            path = parent / file
            if file.startswith("._"):
                continue  # what macOS leaves beside a file on a card: not a recording
            if not is_named_as_one(file):
                if _begins_as_recording(path):
                    search.skip("a recording whose name does not end as one; name it outright", text_of(path))
                continue
            if not search.wants(file, text_of(path.relative_to(folder)), text_of(path)):
                continue
            if not path.is_file():
                search.skip("no ordinary file (a pipe, a socket, a broken link)", text_of(path))
            else:
                yield path


def _begins_as_recording(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError:
        return False
    return any(head.startswith(magic, at) for at, magic in BEGINNINGS)
