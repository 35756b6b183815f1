"""`birdwatch model list`: the built-in model and added ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, for programs.")
def model_list(as_json: bool) -> None:
    """List the built-in model and added ones."""
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
        click.echo(f"no model has been added to {store_folder()}; `birdwatch model add birdnet` adds one")
    else:
        faulty = any("fault" in row for row in rows)
        columns = COLUMNS[: None if faulty else -1]
        cells = [columns, *(tuple(str(row.get(column, "")) for column in columns) for row in rows)]
        for line in aligned(cells):
            click.echo(line)


def _row(name: str, path: Path) -> dict[str, Any]:
    """The cells of a model's line; a model that cannot be used is listed with the reason."""
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


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of left-aligned columns, two blanks apart; the last column is not padded."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
