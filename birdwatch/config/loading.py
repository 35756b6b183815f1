"""Where settings come from: a TOML file, then `BIRDWATCH_*` in the environment, then options; the last one wins.

Everything that is wrong is reported at once. `[class.<code>]` in the file holds what differs for one class,
`[source.<name>]` what differs for one of several sources: each becomes a station of that name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from birdwatch.config.faults import Faults, short
from birdwatch.config.schema import ClassRules, Rule, Settings, class_rules, rules
from birdwatch.config.toml_file import parsed
from birdwatch.errors import ConfigError, UsageError

__all__ = ["Configuration", "Loaded", "journal_path"]

PREFIX = "BIRDWATCH_"

# Keys of `[source.NAME]` that have another name elsewhere.
SOURCE_NAMES = {"file": "source"}

# In the environment, but no settings of the daemon.
NO_SETTINGS = ("BIRDWATCH_CONFIG", "BIRDWATCH_MODELS", "BIRDWATCH_SHARED")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings in force and where each value came from: `default`, a file, a variable or an option.

    Values of one class are under `class.<code>.<name>` in `origins`, those of a source under `source.<name>.<setting>`.
    sources: the settings of each station by its name; without `[source.<name>]` there is one, with `settings`.
    """

    settings: Settings
    origins: Mapping[str, str]
    sources: Mapping[str, Settings]

    @property
    def has_tables(self) -> bool:
        """Whether sources are tables of their own, which a reload can add, remove and change."""
        return list(self.sources.values()) != [self.settings]

    @property
    def has_several(self) -> bool:
        """Whether there may be more than one station."""
        return self.has_tables or self.settings.channel == "each"

    def needs_restart(self, newer: Loaded) -> list[str]:
        """The settings that differ in `newer` and that a reload cannot take over."""
        return [
            name
            for name, rule in rules().items()
            if not rule.live
            and not (rule.source and self.has_tables and newer.has_tables)
            and getattr(self.settings, name) != getattr(newer.settings, name)
        ]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Where to look: `read` at the start, and again on SIGHUP.

    path: the TOML file, or None for what BIRDWATCH_CONFIG names, or for none. options: what the command line was
    given, by name; None for what it was not.
    """

    path: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def file(self) -> Path | None:
        """The TOML file, or None where there is none."""
        return self.path or (Path(p) if (p := self.environ.get("BIRDWATCH_CONFIG")) else None)

    def read(self) -> Loaded:
        """All settings. Raises ConfigError that names everything unknown or out of range."""
        path = self.file
        table = parsed(path) if path is not None else {}
        classes, tables = table.pop("class", {}), table.pop("source", {})
        if isinstance(tables, str):
            table["source"], tables = tables, {}
        reader = _Reader()
        reader.file(table, str(path))
        reader.environment(self.environ)
        reader.options(self.options)
        own = reader.classes(classes, str(path))
        sources = reader.sources(tables, str(path))
        reader.check(path)
        settings = Settings(**reader.values, class_=own)
        places = [name for name in ("device", "url", "folder") if getattr(settings, name) is not None]
        if not sources and settings.source is None and len(places) > 1:
            # A few on the command line: each becomes a station named after its kind.
            sources = {f"{settings.station}-{name}": {name: getattr(settings, name)} for name in places}
        if not sources:
            return Loaded(settings, reader.origins, {settings.station: settings})
        by_name = {name: _of_source(settings, name, rows, reader.origins) for name, rows in sources.items()}
        return Loaded(settings, reader.origins, by_name)


class _Reader:
    """Takes values from one place after another, and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = dict.fromkeys(rules(), "default")
        self._faults = Faults()
        self._wrong: set[str] = set()

    def file(self, table: Mapping[str, Any], path: str) -> None:
        """The settings of a TOML file, without its tables."""
        for name, raw in table.items():
            if name in rules():
                self._set(name, raw, path)
            else:
                self._faults.unknown(f"{path}: ", name, [*rules(), "class"])

    def environment(self, environ: Mapping[str, str]) -> None:
        """`BIRDWATCH_*`."""
        for variable, raw in sorted(environ.items()):
            name = variable.removeprefix(PREFIX).lower()
            if not variable.startswith(PREFIX) or variable in NO_SETTINGS:
                continue
            if name in rules():
                self._set(name, raw, variable)
            else:
                self._faults.unknown("", variable, [PREFIX + known.upper() for known in rules()])

    def options(self, options: Mapping[str, Any]) -> None:
        """What the command line was given."""
        for name, raw in options.items():
            if raw is not None:
                self._set(name, raw, "--" + name.replace("_", "-"))

    def classes(self, tables: Any, path: str) -> dict[str, ClassRules]:
        """`[class.<code>]`: what differs from the rules of all classes."""
        every_class = {name: self.values[name] for name in class_rules() if name in self.values}
        if not isinstance(tables, dict) or not all(isinstance(rows, dict) for rows in tables.values()):
            self._faults.append(f"{path}: class is {short(tables)}, expected tables such as [class.houspa]")
            return {}
        own: dict[str, ClassRules] = {}
        for code, rows in tables.items():
            chosen: dict[str, Any] = {}
            for name, raw in rows.items():
                if name in class_rules():
                    chosen[name] = self._taken(f"class.{code}.{name}", raw, path, class_rules()[name])
                    self.origins[f"class.{code}.{name}"] = path
                else:
                    self._faults.unknown(f"{path}: class.{code}: ", name, class_rules())
            own[code] = ClassRules(**{**every_class, **chosen})
        return own

    def sources(self, tables: Any, path: str) -> dict[str, dict[str, Any]]:
        """`[source.<name>]`: the values of each source by its station's name."""
        sources: dict[str, dict[str, Any]] = {}
        for station, rows in _tables(tables, path, self._faults).items():
            sources[station] = {}
            for key, raw in rows.items():
                name = SOURCE_NAMES.get(key, key)
                if name not in rules() or not rules()[name].source:
                    known = [known for known, rule in rules().items() if rule.source and known != "source"]
                    self._faults.unknown(f"{path}: source.{station}: ", key, [*known, *SOURCE_NAMES])
                    continue
                sources[station][name] = self._taken(f"source.{station}.{key}", raw, path, rules()[name])
                self.origins[f"source.{station}.{name}"] = path
        return sources

    def check(self, path: Path | None) -> None:
        """Raise what is wrong, all of it at once."""
        if faults := self._faults.all():
            kind = UsageError if all(fault.startswith("--") for fault in faults) else ConfigError
            raise kind("; ".join(faults), path=path, setting=min(self._wrong, default=None))

    def _set(self, name: str, raw: Any, origin: str) -> None:
        self.values[name], self.origins[name] = self._taken(name, raw, origin, rules()[name]), origin

    def _taken(self, name: str, raw: Any, origin: str, rule: Rule) -> Any:
        try:
            value = _converted(raw, rule)
            expected = rule.fault(value)
        except (ValueError, OverflowError):
            value, expected = None, _KINDS[rule.kind]
        if expected:
            shown = "" if rule.secret else f" is {short(raw)}"
            self._faults.append(f"{origin}: {name}{shown}, expected {expected}")
            self._wrong.add(name)
        return value


def _tables(tables: Any, path: str, faults: Faults) -> dict[str, dict[str, Any]]:
    """The `[source.NAME]` tables; anything else there is a fault."""
    pattern = rules()["station"].pattern
    if not isinstance(tables, dict) or not all(isinstance(rows, dict) for rows in tables.values()):
        faults.append(f"{path}: source is not a file name and not only tables such as [source.pond]")
        return {}
    for name in tables:
        if "\0" in name or not re.fullmatch(pattern, name):
            faults.append(f"{path}: source.{short(name)} is no name for a station, expected text like {pattern}")
    return tables


def _of_source(settings: Settings, station: str, rows: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    """What holds for one source: its own values, else those of all. What is set for one class holds at every source."""
    places = dict.fromkeys(("device", "source", "url", "folder"))
    values = {**(places if set(rows) & set(places) else {}), **rows}
    own = {name: value for name, value in rows.items() if name in class_rules()}
    classes = {
        code: replace(rule, **{name: value for name, value in own.items() if f"class.{code}.{name}" not in origins})
        for code, rule in settings.class_.items()
    }
    return replace(settings, station=station, class_=classes, **values)


def journal_path(settings: Settings, environ: Mapping[str, str] | None = None) -> Path | None:
    """Where the journal is: as set, else in systemd's state folder, else in the user's; None for no journal."""
    environ = os.environ if environ is None else environ
    if not settings.journal_max_mb:
        return None
    if settings.journal is not None:
        return settings.journal
    return state_folder(environ) / "journal.db"


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where birdwatch keeps what it needs again: systemd's state folder, else the user's."""
    environ = os.environ if environ is None else environ
    if folder := environ.get("STATE_DIRECTORY"):
        return Path(folder.split(":")[0])
    state = environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local/state") / "birdwatch"


_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _converted(raw: Any, rule: Rule) -> Any:
    """`raw` as the setting's type. Raises ValueError where it is none."""
    if isinstance(raw, str) and "\0" in raw:
        raise ValueError  # neither the system nor a message can hold it
    if isinstance(raw, str) and rule.kind in (int, float, bool):
        if rule.kind is bool:
            if raw.lower() not in _WORDS:
                raise ValueError
            return _WORDS[raw.lower()]
        return rule.kind(raw)
    if rule.kind is Path and isinstance(raw, str | Path):
        if not str(raw):
            raise ValueError
        try:
            return Path(raw).expanduser()
        except RuntimeError as error:  # the home of a user that is not there
            raise ValueError from error
    if rule.kind is str and isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw)  # device = 1
    if rule.kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if type(raw) is not rule.kind:
        raise ValueError
    return raw
