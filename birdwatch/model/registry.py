"""The folder of added models, and the file that `--model NAME` refers to.

    <store>/<name>.onnx              a model
    <store>/ranges/<name>.onnx       a species range model: latitude, longitude, week -> species
    <store>/locales/<name>/<language>.txt   its labels in other languages

The store is $BIRDWATCH_MODELS, else $XDG_DATA_HOME/birdwatch/models, else ~/.local/share/birdwatch/models.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, cast

from birdwatch.atomic_write import written_beside
from birdwatch.errors import ModelError, SinkError
from birdwatch.model.builtin import built_in_model

__all__ = [
    "find_model",
    "find_range_model",
    "locale_folder",
    "make_folder",
    "range_folder",
    "range_models",
    "species_hint",
    "store_folder",
    "stored_models",
    "write_model",
]


def store_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The store's folder, whether it exists or not."""
    if named := environment.get("BIRDWATCH_MODELS"):
        return Path(named).expanduser()
    data = environment.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "birdwatch" / "models"


def range_folder() -> Path:
    """The folder of the range models."""
    return store_folder() / "ranges"


def locale_folder(model: Path) -> Path:
    """The folder with the labels in other languages that came with a model file."""
    return model.parent / "locales" / model.stem


def stored_models() -> dict[str, Path]:
    """The added models by name, in the order of their names."""
    return {path.stem: path for path in sorted(store_folder().glob("*.onnx"))}


def find_model(name: str | os.PathLike[str] | None) -> Path:
    """The file that `--model` means: a path, the name of an added model, or, for None, the built-in one.

    A name is looked up first among the added models; anything with a folder or a suffix is a path. Raises ModelError
    that lists the names there are.
    """
    if name is None:
        return built_in_model()
    path = Path(name)
    if path.suffix or path.parent != Path():
        return path
    stored = stored_models()
    if path.name in stored:
        return stored[path.name]
    if path.exists():
        return path
    there = f"added models: {', '.join(stored)}" if stored else f"no model has been added to {store_folder()}"
    hint = "; add it with `birdwatch model add birdnet`" if path.name == "birdnet" else ""
    raise ModelError(f"there is no model {str(name)!r} ({there}){hint or '; name an .onnx file, or one of these'}")


def range_models() -> list[Path]:
    """The range models that were added."""
    return sorted(range_folder().glob("*.onnx"))


def find_range_model() -> Path:
    """The species range model. Raises ModelError where none was added, or several."""
    found = range_models()
    if len(found) != 1:
        there = "there is none" if not found else f"there are {', '.join(path.stem for path in found)}"
        raise ModelError(
            f"a species filter by place needs one range model in {range_folder()}, {there}; "
            "`birdwatch model add birdnet` brings one"
        )
    return found[0]


def species_hint(model: Path | None, classes: int) -> str | None:
    """A hint for users of the built-in model (None) who have not added BirdNET; otherwise None.

    classes: of the built-in model.
    """
    if model is not None or "birdnet" in stored_models():
        return None
    return f"the built-in model has {classes} species; `birdwatch model add birdnet` adds one with 6 522"


def make_folder(folder: Path) -> None:
    """Makes a folder of the store where it is missing. Raises SinkError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"the folder {folder} for models cannot be made ({error.strerror}); name another one with BIRDWATCH_MODELS"
        ) from error


def write_model(path: Path, content: bytes) -> None:
    """Writes a model file, or a file beside one, whole or not at all; makes its folder if that is in the store."""
    if path.is_relative_to(store_folder()):
        make_folder(path.parent)
    with written_beside(path, binary=True) as stream:
        cast(IO[bytes], stream).write(content)
