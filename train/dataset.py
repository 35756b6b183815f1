"""The recordings and classes of a data set: Kaggle's BirdCLEF layout, or one folder per class."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from birdwatch.audio.file import AUDIO_SUFFIXES
from birdwatch.errors import ConfigError
from birdwatch.model.manifest import Label
from birdwatch.wording import listed

__all__ = [
    "Recording",
    "file_digest",
    "fingerprint",
    "labels_of",
    "read_folder",
    "read_table",
    "read_taxonomy",
    "read_unlabelled",
    "read_xeno_canto",
    "with_codes",
]

# A file of xeno-canto: `XC123.mp3`, or `123.mp3`.
CATALOGUED = re.compile(r"(?:XC)?(\d+)(?!\d)")


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording: `filename` as the data set names it (with /), `path` where it lies.

    label and secondary are codes; label is "" where nothing is labelled. author is "" where unknown.
    collection: the source that it came from, where the data say so.
    """

    filename: str
    path: Path
    label: str = ""
    secondary: tuple[str, ...] = ()
    author: str = ""
    collection: str = ""


def _rows(path: Path, required: Iterable[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            missing = sorted(set(required) - set(reader.fieldnames or ()))
    except OSError as error:
        raise ConfigError(f"{path} could not be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is not a csv table: {error}") from None
    if missing:
        raise ConfigError(f"{path} lacks the columns {missing}")
    if not rows:
        raise ConfigError(f"{path} has no rows")
    return rows


def _secondary(text: str, where: str) -> tuple[str, ...]:
    """The labels in Kaggle's Python list in a string, such as "['a', 'b']" or "['']"."""
    if not text.strip():
        return ()
    try:
        labels = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        labels = None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ConfigError(f"{where}: secondary_labels is {text!r}, expected a list such as ['a', 'b']")
    return tuple(label for label in labels if label)


def read_table(path: Path, root: Path) -> list[Recording]:
    """The recordings of a `train.csv`, whose filenames are relative to `root`; raises ConfigError if it is not one.

    A `.json` file, or a folder of them, is xeno-canto's metadata.
    """
    if path.is_dir() or path.suffix == ".json":
        return read_xeno_canto(path, root)
    recordings = []
    seen: dict[str, int] = {}
    for number, row in enumerate(_rows(path, ("primary_label", "filename")), start=2):
        filename, where = row["filename"], f"{path}, line {number}"
        if filename in seen:
            raise ConfigError(f"{where}: {filename} is already on line {seen[filename]}")
        seen[filename] = number
        path_of = root / filename
        if "/" not in filename and not path_of.exists():
            path_of = root / row["primary_label"] / filename  # as the competition named its files until 2021
        recordings.append(
            Recording(
                filename,
                path_of,
                row["primary_label"],
                _secondary(row.get("secondary_labels") or "", where),
                (row.get("author") or "").strip(),
                (row.get("collection") or "").strip(),
            )
        )
    return recordings


def read_xeno_canto(path: Path, root: Path) -> list[Recording]:
    """The recordings under `root` that answers of xeno-canto's API describe: a json file, or a folder of such pages.

    A file is known by its catalogue number, `XC123.mp3` or `123 - Wren.ogg`; recordings without a file are left out.
    Labels are scientific names. Raises ConfigError if there is none.
    """
    pages = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    files = {found[1]: file for file in _audio_files(root) if (found := CATALOGUED.match(file.name))}
    recordings: dict[str, Recording] = {}
    for page in pages:
        try:
            entries = [
                (str(entry["id"]), f"{entry['gen']} {entry['sp']}", entry.get("also") or [], entry.get("rec") or "")
                for entry in json.loads(page.read_text("utf-8"))["recordings"]
            ]
        except OSError as error:
            raise ConfigError(f"{page} could not be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise ConfigError(
                f"{page} is not a response of xeno-canto: it has no recordings with id, gen and sp"
            ) from None
        for number, label, also, author in entries:
            if number in files:
                name = files[number].relative_to(root).as_posix()
                recordings[name] = Recording(name, files[number], label, tuple(filter(None, also)), author.strip())
    if not recordings:
        raise ConfigError(f"{path} describes no file under {root}; files must be named XC123.mp3 or 123.mp3")
    return list(recordings.values())


def with_codes(recordings: Sequence[Recording], labels: Sequence[Label]) -> list[Recording]:
    """The recordings with the classes' codes where their labels are the classes' scientific names."""
    code_of = {label.scientific_name: label.code for label in labels if label.scientific_name}
    code_of |= {label.code: label.code for label in labels}
    return [
        replace(
            recording,
            label=code_of.get(recording.label, recording.label),
            secondary=tuple(code_of.get(name, name) for name in recording.secondary),
        )
        for recording in recordings
    ]


def _audio_files(root: Path) -> list[Path]:
    if not root.is_dir():
        raise ConfigError(f"no folder {root}")
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise ConfigError(f"{root} holds no audio ({', '.join(sorted(AUDIO_SUFFIXES))})")
    return files


def read_folder(root: Path) -> list[Recording]:
    """The recordings of a folder with one sub-folder a class, named by it."""
    recordings = []
    for path in _audio_files(root):
        name = path.relative_to(root)
        if len(name.parts) < 2:
            raise ConfigError(f"{path} lies in no class's folder; expected {root}/<class>/{path.name}, or give --data")
        recordings.append(Recording(name.as_posix(), path, name.parts[0]))
    return recordings


def read_unlabelled(root: Path) -> list[Recording]:
    """All audio under `root`, without labels."""
    return [Recording(path.relative_to(root).as_posix(), path) for path in _audio_files(root)]


def read_taxonomy(path: Path) -> tuple[Label, ...]:
    """The classes of a `taxonomy.csv`, in its order."""
    rows = _rows(path, ("primary_label",))
    return tuple(
        Label(row["primary_label"], row.get("scientific_name") or "", row.get("common_name") or "") for row in rows
    )


def labels_of(recordings: Sequence[Recording], taxonomy: str) -> tuple[Label, ...]:
    """The classes: the taxonomy's, or without one the recordings' labels, sorted. ConfigError if one is missing."""
    codes = {recording.label for recording in recordings}
    if not taxonomy:
        return tuple(Label(code) for code in sorted(codes))
    labels = read_taxonomy(Path(taxonomy))
    unknown = sorted(codes - {label.code for label in labels})
    if unknown:
        raise ConfigError(f"{taxonomy} lacks {len(unknown)} labels of the recordings: {listed(unknown)}")
    return labels


def fingerprint(recordings: Sequence[Recording], arrays: Sequence[Path]) -> str:
    """Sixteen hex digits that change with a recording's name, labels, recordist or content (its array's name)."""
    digest = hashlib.sha256()
    for recording, array in zip(recordings, arrays, strict=True):
        values = (recording.filename, recording.label, recording.secondary, recording.author, array.name)
        digest.update(repr(values).encode())
    return digest.hexdigest()[:16]


def file_digest(*paths: str) -> str:
    """Sixteen hex digits that change with the content of the files; an empty path is no file."""
    digest = hashlib.sha256()
    for path in filter(None, paths):
        digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return digest.hexdigest()[:16]
