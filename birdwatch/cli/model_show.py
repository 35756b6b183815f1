"""`birdwatch model show`: a model's manifest."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.frontend import FrontendSpec
from birdwatch.model.manifest import Manifest
from birdwatch.model.registry import find_model
from birdwatch.wording import counted

__all__ = ["model_show"]

Rows = list[tuple[str, str]]
# Characters of a value before --all is needed for the rest.
LONGEST = 400


@click.command("show")
@click.argument("model", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="The whole manifest as JSON, for programs.")
@click.option("--all", "everything", is_flag=True, help="Also the provenance and the whole attribution.")
def model_show(model: str | None, as_json: bool, everything: bool) -> None:
    """Show the labels, front end, thresholds, licence and size of MODEL.

    MODEL is an .onnx file or the name of an added model; without it, the built-in one.
    """
    classifier = OnnxClassifier(find_model(model), provider="cpu")
    manifest = classifier.manifest
    if as_json:
        click.echo(json.dumps(json.loads(manifest.to_json()), ensure_ascii=False, indent=2))
        return
    file_rows = [
        ("file", str(classifier.path)),
        ("size", f"{classifier.path.stat().st_size / 1e6:.1f} MB"),
        ("sha256", classifier.sha256),
    ]
    rows = [*file_rows, *about(manifest)]
    if not everything:
        rows = [(name, _shortened(value)) for name, value in rows]
    made = provenance_rows(manifest)
    if not everything and made:
        rows.append(("provenance", f"{counted(len(made), 'entry', 'entries')}; --all shows them"))
        made = []
    if _is_terminal():
        _print_tables(manifest, rows, made)
    else:
        for name, value in (("name", manifest.name), *rows):
            click.echo(f"{name}: {value}")
        for name, value in made:
            click.echo(f"provenance.{name}: {value}")
        for label in label_rows(manifest):
            click.echo("\t".join(label))


def _shortened(text: str) -> str:
    """`text`, cut: the built-in model's attribution names hundreds of recordists."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rsplit(', ', 1)[0]} ...; --all shows the rest"


def about(manifest: Manifest) -> Rows:
    """The fields of a manifest, without its labels, as names and values in words."""
    rows: Rows = [
        ("input", f"{manifest.input}, windows of {manifest.window_s:g} s at {manifest.rate_hz} Hz"),
        ("scores", f"output {manifest.scores_output!r}, activation {manifest.activation}"),
        ("embedding", f"output {manifest.embedding_output!r}" if manifest.embedding_output else "none"),
    ]
    if manifest.frontend is not None:
        rows.append(("front end", _front_end(manifest.frontend)))
    rows += [
        ("parameters", "unknown" if manifest.parameters is None else f"{manifest.parameters:,}"),
        ("multiply-adds", "unknown" if manifest.macs is None else f"{manifest.macs / 1e6:,.0f} million a window"),
        ("licence", manifest.license or "not stated"),
        ("attribution", manifest.attribution or "not stated"),
        ("probe", _probe(manifest.probe)),
    ]
    limits = sorted({manifest.threshold_of(code) for code in manifest.codes})
    span = f"{limits[0]:g}" if len(limits) == 1 else f"{limits[0]:g} to {limits[-1]:g}, by label"
    return [*rows, ("thresholds", span), ("labels", str(len(manifest.labels)))]


def provenance_rows(manifest: Manifest) -> Rows:
    """How the model was made, as dotted names and values."""
    return [(name, value) for name, value in _flat(manifest.provenance)]


def label_rows(manifest: Manifest) -> list[tuple[str, str, str, str]]:
    """Code, scientific name, common name and threshold of each label."""
    return [
        (label.code, label.scientific_name, label.common_name, f"{manifest.threshold_of(label.code):g}")
        for label in manifest.labels
    ]


def _front_end(spec: FrontendSpec) -> str:
    """All parameters of the front end, in words."""
    return (
        f"{spec.n_mels} mels ({spec.mel_scale} scale, {spec.mel_norm} norm), {spec.fmin_hz:g} to {spec.fmax_hz:g} Hz, "
        f"FFT {spec.n_fft}, hop {spec.hop_frames}, {spec.fft_window} window, top_db {spec.top_db:g}, {spec.scaling}, "
        f"{spec.height} x {spec.width} {spec.resize}, of {spec.window_frames} samples at {spec.rate_hz} Hz"
    )


def _probe(probe: Mapping[str, Any] | None) -> str:
    if probe is None:
        return "none: this model's scores cannot be checked on another machine"
    clips = len(probe.get("scores", ()))
    return f"{clips} clips of {probe.get('recipe')}, tolerance {probe.get('tolerance')}; see `birdwatch model check`"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as dotted names; lists of plain values in one line."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, 1):
                yield from _flat(item, f"{prefix}{name}.{number}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_tables(manifest: Manifest, rows: Rows, made: Rows) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for title, pairs in ((manifest.name, rows), *([("how it was made", made)] if made else [])):
        table = Table(box=None, show_header=False, title=title, title_justify="left", title_style="bold underline")
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in pairs:
            table.add_row(name, escape(value))
        console.print(table)
        console.print()
    labels = Table(box=None, header_style="bold", title="labels", title_justify="left", title_style="bold underline")
    for column in ("code", "scientific name", "common name", "threshold"):
        labels.add_column(column)
    for label in label_rows(manifest):
        labels.add_row(*map(escape, label))
    console.print(labels)


def _is_terminal() -> bool:
    return sys.stdout.isatty()
