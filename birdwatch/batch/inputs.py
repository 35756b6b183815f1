"""The recordings of a run: files, folders and lists become paths with a name each, in a fixed order."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from birdwatch.audio.file import AUDIO_SUFFIXES
from birdwatch.errors import ConfigError
from birdwatch.paths import text_of

__all__ = ["Input", "find_inputs"]

# Names that systems give to folders of deleted files and their own.
SYSTEM_FOLDERS = ("$recycle.bin", "system volume information", "lost+found", "recycler")
# Recordings that nothing here decodes: in a folder they are named, so that they are not taken for scored.
UNREAD_SUFFIXES = frozenset({".wac", ".w4v", ".zc", ".ra", ".rm", ".dsf", ".dff", ".mid", ".sd2"})
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
    """A recording that was asked for. name: what tables call it, unique in a run."""

    name: str
    path: Path


def find_inputs(
    arguments: Sequence[str],
    *,
    recursive: bool = True,
    include: Sequence[str] = (),
    allow_empty: bool = False,
    notice: Callable[[str], None] = lambda line: None,
) -> list[Input]:
    """The recordings that files, folders, `@list.txt` and `-` (a list on stdin) stand for, each once.

    A file's name is its own without the suffix, inside a folder its path relative to that folder without the suffix.
    Where that makes two of them the same they keep their suffix, and if that does not help their whole path.
    include: patterns such as `*.wav` that the files of a folder must match; letters' case does not matter, since
    recorders write `.WAV`. allow_empty: folders and lists without a recording are not an error. notice: is called with
    a line for each kind of file or folder that was left out: hidden ones, recycle bins, links to folders, folders
    without permission, formats that cannot be read. Raises ConfigError
    for a list that cannot be read, a folder without recordings, or nothing.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    skipped = _Skipped()
    for path in _paths(arguments):
        if _is_folder(path):
            inside = sorted(_in_folder(path, recursive, include, skipped))
            if not inside and not allow_empty:
                for line in skipped.lines():
                    notice(line)
                matching = f" that matches {' or '.join(include)}" if include else ""
                raise ConfigError(
                    f"{path} holds no recording{matching}; expected files such as .wav, .flac, .ogg or .mp3 in it",
                    path=path,
                )
            for item in inside:
                found.setdefault(_resolved(item), (item.relative_to(path), item))
        else:
            found.setdefault(_resolved(path), (Path(path.name), path))
    for line in skipped.lines():
        notice(line)
    if not found and not allow_empty:
        raise ConfigError("no recording was named: the list is empty; expected one path per line")
    return _named(list(found.values()))


@dataclass(slots=True)
class _Skipped:
    """What a search left out: why, how often, and one of them."""

    kinds: dict[str, tuple[int, Path]] = field(default_factory=dict)

    def add(self, kind: str, path: Path) -> None:
        count, first = self.kinds.get(kind, (0, path))
        self.kinds[kind] = count + 1, first

    def lines(self) -> list[str]:
        return [
            f"birdwatch: left out: {kind}: {text_of(first)}{f' and {count - 1} more' if count > 1 else ''}"
            for kind, (count, first) in sorted(self.kinds.items())
        ]


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


def _named(found: list[tuple[Path, Path]]) -> list[Input]:
    names = [text_of(short.with_suffix("")) if short.name else text_of(short) for short, _ in found]
    # Names become files in a folder of tables: none of them may lead out of it.
    for longer in (
        lambda short, _: text_of(short),
        lambda _, path: text_of("/".join(part for part in path.parts if part not in (path.anchor, ".."))),
        lambda _, path: text_of("/".join(_resolved(path).parts[1:])),
    ):
        count = Counter(names)
        names = [
            name if count[name] == 1 else longer(short, path) for name, (short, path) in zip(names, found, strict=True)
        ]
    return [Input(name, path) for name, (_, path) in zip(names, found, strict=True)]


def _paths(arguments: Iterable[str]) -> Iterator[Path]:
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
            yield Path(argument)


def _listed(text: str, source: str) -> Iterator[Path]:
    if "\0" in text:
        raise ConfigError(f"the list {source} holds NUL characters (UTF-16?); expected UTF-8 text, one path per line")
    return (Path(line.strip()) for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _in_folder(folder: Path, recursive: bool, include: Sequence[str], skipped: _Skipped) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        skipped.add(f"a folder that cannot be opened ({error.strerror})", Path(error.filename))

    for name, folders, files in os.walk(folder, onerror=refused):
        parent = Path(name)
        for inner in list(folders):
            kind = _left_out(parent / inner, inner)
            if kind or not recursive:
                folders.remove(inner)
            if kind and recursive:
                skipped.add(kind, parent / inner)
        for file in files:
            path = parent / file
            suffix = path.suffix.lower()
            if file.startswith("._"):
                continue  # what macOS leaves beside a file on a card: not a recording
            if suffix not in AUDIO_SUFFIXES | UNREAD_SUFFIXES:
                if _begins_as_recording(path):
                    skipped.add("a recording whose name does not end as one; name it outright", path)
                continue
            relative = text_of(path.relative_to(folder)).lower()
            if include and not any(
                fnmatch(relative, pattern.lower()) or fnmatch(file.lower(), pattern.lower()) for pattern in include
            ):
                continue
            if file.startswith("."):
                skipped.add("a hidden file", path)
            elif suffix in UNREAD_SUFFIXES:
                skipped.add(f"a recording in a format that cannot be read ({suffix})", path)
            elif not path.is_file():
                skipped.add("no ordinary file (a pipe, a socket, a broken link)", path)
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


def _left_out(path: Path, name: str) -> str:
    """Why a folder is not searched, or an empty text."""
    if name.lower() in SYSTEM_FOLDERS or name.lower().startswith(".trash"):
        return "a recycle bin or system folder"
    if name.startswith("."):
        return "a hidden folder"
    return "a link to a folder" if path.is_symlink() else ""
