"""What the person who exports adds to a manifest, and which labels they ship."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from birdwatch.errors import ConfigError, ModelError
from birdwatch.model.manifest import Manifest

from .source import Source

__all__ = ["described", "labels_to_keep", "read_fields"]

# What the graph decides cannot be set by hand.
SETTABLE = ("name", "labels", "license", "attribution", "threshold", "thresholds", "provenance")


def described(source: Source, values: Mapping[str, Any]) -> Source:
    """The source with these fields of its manifest set; `provenance` is added to, and its entries set to null go."""
    fields = json.loads(source.manifest.to_json())
    labels = values.get("labels", fields["labels"])
    if len(labels) != len(source.manifest.labels):
        raise ModelError(
            f"--manifest lists {len(labels)} labels, the network has {len(source.manifest.labels)} outputs"
        )
    provenance = {**fields["provenance"], **values.get("provenance", {})}
    provenance = {name: value for name, value in provenance.items() if value is not None}
    try:
        manifest = Manifest.from_json(json.dumps({**fields, **values, "provenance": provenance}))
    except ModelError as error:
        raise ModelError(f"--manifest: {error}") from None
    return replace(source, manifest=manifest)


def labels_to_keep(option: str | None) -> list[str] | int | None:
    """`--keep-labels`: a number (the first so many), or the codes in a file, one a line."""
    if option is None:
        return None
    if option.isdigit():
        return int(option)
    try:
        lines = Path(option).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--keep-labels {option} is neither a number nor a readable file: {error}") from None
    return [line.strip() for line in lines if line.strip()]


def read_fields(path: Path | None) -> dict[str, Any]:
    """`--manifest`: the fields in a JSON file; raises ConfigError for others than those that can be set."""
    if path is None:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a JSON {type(values).__name__}, expected an object")
    unknown = sorted(set(values) - set(SETTABLE))
    if unknown:
        raise ConfigError(f"{path} sets {unknown}; only {', '.join(SETTABLE)} can be set")
    return values
