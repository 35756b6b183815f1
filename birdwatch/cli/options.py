"""Command-line options generated from the settings, so that names, help and defaults are defined once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from birdwatch.config.schema import Settings, rules

__all__ = ["setting_options"]

# Settings that each name a source.
SOURCES = frozenset({"device", "url", "folder", "source"})

F = TypeVar("F", bound=Callable[..., Any])


def setting_options(*names: str) -> Callable[[F], F]:
    """Give a command `--config` and an option for each of these settings (by default all).

    The command gets each as a keyword, None if it was not given, as birdwatch.config.loading.Configuration takes them.
    """

    def decorate(command: F) -> F:
        for name in reversed(names or tuple(rules())):
            rule = rules()[name]
            option = "--" + name.replace("_", "-")
            default = getattr(_DEFAULTS, name)
            text = rule.help if rule.optional or rule.kind is bool else f"{rule.help} [default: {default}]"
            if rule.kind is bool:
                command = click.option(f"{option}/--no-{option[2:]}", name, default=None, help=text)(command)
            elif rule.choices:
                command = click.option(option, name, type=click.Choice(rule.choices), help=text)(command)
            else:
                metavar = {Path: "PATH", float: "NUMBER", int: "NUMBER"}.get(rule.kind, "TEXT")
                # For shell completion of file names; the settings check the values.
                kind = click.Path() if rule.kind is Path or name in ("source", "locale") else None
                once: dict[str, Any] = {"multiple": True, "callback": _once} if name in SOURCES else {}
                command = click.option(option, name, metavar=metavar, type=kind, help=text, **once)(command)
        config = click.option("--config", type=click.Path(path_type=Path), help="TOML file of settings.")
        return config(command)

    return decorate


def _once(_context: click.Context, parameter: click.Parameter, values: tuple[Any, ...]) -> Any:
    """The only value, or None: a second one would replace the first, whose source would be left out silently."""
    if len(values) > 1:
        raise click.UsageError(
            f"{parameter.opts[0]} was given {len(values)} times, expected once; "
            "for several sources of a kind write [source.NAME] tables in a file, and give --config"
        )
    return values[0] if values else None


_DEFAULTS = Settings()
