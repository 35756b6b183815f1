"""Helpers of the training commands: options generated from settings, the settings file, output lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click

from .recipe import RECIPES
from .settings import Settings, read_toml, setting_types

__all__ = ["CONFIG", "given_settings", "say", "setting_options", "settings_of"]

F = TypeVar("F", bound=Callable[..., Any])


def setting_options(*names: str) -> Callable[[F], F]:
    """Options for these settings (by default all), in their order; None if not given."""
    types = setting_types()

    def decorate(function: F) -> F:
        for item in reversed([item for item in fields(Settings) if not names or item.name in names]):
            kind = types[item.name]
            assert item.default is not MISSING
            flag = "--" + item.name.replace("_", "-")
            text = item.metadata["help"] + (f"  [{item.default}]" if item.default != "" else "")
            if kind is bool:
                flag = f"{flag}/--no-{flag[2:]}"
            choice = click.Choice(get_args(kind)) if get_origin(kind) is Literal else kind
            function = click.option(flag, item.name, default=None, type=choice, help=text)(function)
        return function

    return decorate


def given_settings(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given on the command line."""
    return {name: value for name, value in given.items() if value is not None}


def settings_of(given: dict[str, Any], config: Path | None, recipe: str | None = None) -> Settings:
    """Settings from the defaults, overridden by the recipe, the file and the command line, in this order."""
    values = dict(RECIPES[recipe]) if recipe else {}
    return Settings(**(values | (read_toml(config) if config else {}) | given_settings(given)))


def say(line: str) -> None:
    """Print a line and flush it."""
    click.echo(line)
    sys.stdout.flush()


CONFIG = click.option("--config", type=click.Path(path_type=Path), help="TOML file of settings; options override it.")
