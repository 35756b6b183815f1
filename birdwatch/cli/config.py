"""`birdwatch config`: the settings in force, and where each comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from birdwatch.cli.options import setting_options
from birdwatch.config.loading import Configuration
from birdwatch.config.schema import class_rules, rules

__all__ = ["config"]


@click.command()
@setting_options()
@click.option("--explain", is_flag=True, help="Describe each setting.")
def config(explain: bool, config: Path | None, **options: Any) -> None:
    """Show the settings in force as TOML, and where each value comes from.

    The output is a valid configuration file: settings without a value are comments.
    """
    loaded = Configuration(config, options).read()
    for name, rule in rules().items():
        if explain:
            click.echo(f"# {rule.help}")
        click.echo(_line(name, getattr(loaded.settings, name), loaded.origins[name]))
    for code, own in loaded.settings.class_.items():
        click.echo(f"\n[class.{_key(code)}]")
        for name in class_rules():
            origin = loaded.origins.get(f"class.{code}.{name}")
            click.echo(_line(name, getattr(own, name), origin or f"for all classes: {loaded.origins[name]}"))
    for station, settings in loaded.sources.items() if loaded.has_tables else ():
        click.echo(f"\n[source.{_key(station)}]")
        for name in rules():
            if f"source.{station}.{name}" in loaded.origins:
                key = "file" if name == "source" else name
                value = getattr(settings, name)
                click.echo(_line(key, value, loaded.origins[f"source.{station}.{name}"]))


def _line(name: str, value: Any, origin: str) -> str:
    text = f"{name} = {_toml(value)}" if value is not None else f"# {name} is not set"
    if value is not None and name in rules() and rules()[name].secret:
        text = f"# {name} is set and not shown"
    return f"{text:<50} # {origin}"


def _key(code: str) -> str:
    return code if code.replace("_", "").replace("-", "").isalnum() and code.isascii() else _toml(code)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    # A TOML basic string takes JSON's escapes.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
