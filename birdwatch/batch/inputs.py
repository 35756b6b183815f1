"""Which recordings a run is about: files, folders and lists become paths with a name each, in a fixed order."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from birdwatch.audio.file import AUDIO_SUFFIXES
from birdwatch.errors import ConfigError

__all__ = ["Input", "find_inputs"]


@dataclass(frozen=True, slots=True)
class Input:
    """A recording that was asked for. name: what tables call it, unique in a run."""

    name: str
    path: Path


def find_inputs(
    arguments: Sequence[str], *, recursive: bool = True, include: Sequence[str] = (), allow_empty: bool = False
) -> list[Input]:
    """The recordings that files, folders, `@list.txt` and `-` (a list on stdin) stand for, each once.

    A file's name is its own without the suffix, inside a folder its path relative to that folder without the suffix.
    Where that makes two of them the same they keep their suffix, and if that does not help their whole path.
    include: patterns such as `*.wav` that the files of a folder must match; letters' case does not matter, since
    recorders write `.WAV`. allow_empty: folders and lists without a recording are not an error. Raises ConfigError
    for a list that cannot be read, a folder without recordings, or nothing.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    for path in _paths(arguments):
        if path.is_dir():
            inside = sorted(_in_folder(path, recursive=recursive, include=include))
            if not inside and not allow_empty:
                matching = f" that matches {' or '.join(include)}" if include else ""
                raise ConfigError(
                    f"{path} holds no recording{matching}; expected files such as .wav, .flac, .ogg or .mp3 in it"
                )
            for item in inside:
                found.setdefault(item.resolve(), (item.relative_to(path), item))
        else:
            found.setdefault(path.resolve(), (Path(path.name), path))
    if not found and not allow_empty:
        raise ConfigError("no recording was named: the list is empty; expected one path a line")
    return _named(list(found.values()))


def _named(found: list[tuple[Path, Path]]) -> list[Input]:
    names = [short.with_suffix("").as_posix() for short, _ in found]
    # Names become files in a folder of tables: none of them may lead out of it.
    for longer in (
        lambda short, _: short.as_posix(),
        lambda _, path: "/".join(part for part in path.parts if part not in (path.anchor, "..")),
        lambda _, path: "/".join(path.resolve().parts[1:]),
    ):
        count = Counter(names)
        names = [
            name if count[name] == 1 else longer(short, path) for name, (short, path) in zip(names, found, strict=True)
        ]
    return [Input(name, path) for name, (_, path) in zip(names, found, strict=True)]


def _paths(arguments: Iterable[str]) -> Iterator[Path]:
    for argument in arguments:
        if argument == "-":
            yield from _listed(sys.stdin.read())
        elif argument.startswith("@") and not Path(argument).exists():
            try:
                text = Path(argument[1:]).read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"the list {argument[1:]} cannot be read ({error}); expected one path a line") from (
                    error
                )
            yield from _listed(text)
        else:
            yield Path(argument)


def _listed(text: str) -> Iterator[Path]:
    return (Path(line.strip()) for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _in_folder(folder: Path, *, recursive: bool, include: Sequence[str]) -> Iterator[Path]:
    for path in folder.rglob("*") if recursive else folder.iterdir():
        # "._name" is what macOS leaves beside a file on a card: not a recording.
        if path.suffix.lower() not in AUDIO_SUFFIXES or path.name.startswith("._") or not path.is_file():
            continue
        relative = path.relative_to(folder).as_posix().lower()
        if not include or any(fnmatch(relative, p.lower()) or fnmatch(path.name.lower(), p.lower()) for p in include):
            yield path
