"""`birdwatch model list`: the models that `--model` finds by name, and the built-in one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from birdwatch.errors import ModelError
from birdwatch.model.builtin import built_in_model
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.registry import store_folder, stored_models

__all__ = ["model_list"]

COLUMNS = ("name", "labels", "window", "input", "size", "licence", "file", "fault")


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def model_list(as_json: bool) -> None:
    """List the built-in model and those that were added."""
    models = dict(stored_models())
    try:
        models = {"(built in)": built_in_model(), **models}
    except ModelError as error:
        click.echo(f"birdwatch: {error}", err=True)
    rows = [_row(name, path) for name, path in models.items()]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    if not rows:
        click.echo(f"no model has been added to {store_folder()}; `birdwatch model add birdnet` brings one")
    elif _is_terminal():
        _table(rows)
    else:
        click.echo("\t".join(COLUMNS))
        for row in rows:
            click.echo("\t".join(str(row.get(column, "")) for column in COLUMNS))


def _row(name: str, path: Path) -> dict[str, Any]:
    """What a line says; a model that cannot be used is listed with the reason."""
    try:
        manifest = OnnxClassifier(path, provider="cpu").manifest
    except ModelError as error:
        return {"name": name, "file": str(path), "fault": str(error)}
    return {
        "name": name,
        "labels": len(manifest.labels),
        "window": f"{manifest.window_s:g} s at {manifest.rate_hz} Hz",
        "input": manifest.input,
        "size": f"{path.stat().st_size / 1e6:.1f} MB",
        "licence": manifest.license,
        "file": str(path),
    }


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    faulty = any("fault" in row for row in rows)
    table = Table(box=None, header_style="bold")
    for column in COLUMNS[: None if faulty else -1]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(row.get(column, ""))) for column in COLUMNS[: len(table.columns)]))
    Console().print(table)


def _is_terminal() -> bool:
    return sys.stdout.isatty()
