"""Detection thresholds of a configuration: which are in force, told apart by a digest, and changed in TOML text. Pure.

Comments and everything else in the text stay as they are.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError

__all__ = ["thresholds_digest", "with_thresholds"]

# Where a value stands: ("threshold",) or ("class", "houspa", "threshold").
Place = tuple[str, ...]

_HEADER = re.compile(r"\s*\[(?!\[)(.+)\]\s*(#.*)?$")
_THRESHOLD = re.compile(r"(\s*[\"']?threshold[\"']?\s*=\s*)([^#]*?)(\s*(?:#.*)?)$")


def thresholds_digest(settings: Settings) -> str:
    """16 hexadecimal digits, equal for settings with the same detection thresholds."""
    own = {code: rule.threshold for code, rule in settings.class_.items() if rule.threshold != settings.threshold}
    text = json.dumps([settings.threshold, sorted(own.items())])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def with_thresholds(text: str, changes: Mapping[Place, float | None]) -> str:
    """The TOML `text` with these thresholds; None removes one. Raises ConfigError where its form does not allow it."""
    wanted = tomllib.loads(text)
    lines = text.removesuffix("\n").split("\n") if text else []
    for place, value in changes.items():
        _put(wanted, place, value)
        lines = _changed(lines, place, value)
    changed = "\n".join(lines) + "\n" if lines else ""
    # Any syntax that is not supported (inline tables, dotted keys) is detected here.
    try:
        understood = _without_empty(tomllib.loads(changed)) == _without_empty(wanted)
    except tomllib.TOMLDecodeError:
        understood = False
    if not understood:
        raise ConfigError("the file writes thresholds in a form that only a person can change; expected [class.CODE]")
    return changed


def _put(tables: dict[str, Any], place: Place, value: float | None) -> None:
    for name in place[:-1]:
        tables = tables.setdefault(name, {})
    if value is None:
        tables.pop(place[-1], None)
    else:
        tables[place[-1]] = value


def _without_empty(tables: dict[str, Any]) -> dict[str, Any]:
    """A copy in which tables without a value are left out."""
    inner = {name: _without_empty(value) if isinstance(value, dict) else value for name, value in tables.items()}
    return {name: copy.deepcopy(value) for name, value in inner.items() if value != {}}


def _changed(lines: list[str], place: Place, value: float | None) -> list[str]:
    """The lines with the value at `place` replaced, added or removed."""
    table = place[:-1]
    bounds = _bounds(lines, table)
    if bounds is None:
        if value is None:
            return lines
        header = ".".join(_key(part) for part in table)
        gap = [""] if lines and lines[-1].strip() else []
        return [*lines, *gap, f"[{header}]", f"threshold = {value:g}"]
    first, last = bounds
    for at in range(first, last):
        found = _THRESHOLD.match(lines[at])
        if found is None:
            continue
        new = [] if value is None else [f"{found[1]}{value:g}{found[3]}"]
        return [*lines[:at], *new, *lines[at + 1 :]]
    if value is None:
        return lines
    # After the table's last value, before the blank lines and comments that belong to what follows.
    while last > first and (not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#")):
        last -= 1
    return [*lines[:last], f"threshold = {value:g}", *lines[last:]]


def _bounds(lines: list[str], table: Place) -> tuple[int, int] | None:
    """The lines of a table, without its header; None where there is no such header."""
    headers = [(at, _table(line)) for at, line in enumerate(lines) if line.lstrip().startswith("[")]
    starts = [(-1, ()), *((at, name) for at, name in headers if name is not None)]
    for number, (at, name) in enumerate(starts):
        if name == table:
            return at + 1, starts[number + 1][0] if number + 1 < len(starts) else len(lines)
    return None


def _table(line: str) -> Place | None:
    """The name of the table that a line begins; of an array of tables a name that no threshold has."""
    found = _HEADER.match(line)
    if found is None:
        return ("", line) if line.lstrip().startswith("[[") else None
    try:
        tables: Any = tomllib.loads(f"[{found[1]}]")
    except tomllib.TOMLDecodeError:
        return None
    names = []
    while tables:
        ((name, tables),) = tables.items()
        names.append(name)
    return tuple(names)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
