"""`birdwatch model wrap`: makes a model of another project's ONNX network by adding a manifest."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birdwatch.atomic_write import check_writable, identities
from birdwatch.audio.resample import ResamplerKind
from birdwatch.cli.parameters import FiniteRange
from birdwatch.convert import check_extra
from birdwatch.errors import ConfigError, ModelError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.frontend import FrontendSpec
from birdwatch.model.manifest import Activation, Input, Manifest
from birdwatch.model.probe import Probe, probe_clips
from birdwatch.model.registry import store_folder, write_model

if TYPE_CHECKING:
    from birdwatch.convert.wrap import Outputs

__all__ = ["model_wrap"]

# The differences of scores and log-odds between machines that `birdwatch model check` allows.
TOLERANCE, TOLERANCE_LOG_ODDS = 1e-3, 0.1


@click.command("wrap")
@click.argument("network", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    required=True,
    type=click.Path(path_type=Path),
    help="A CSV with code, scientific_name, common_name, or a label per line, in the order of the outputs.",
)
@click.option("--rate", "rate_hz", required=True, type=click.IntRange(1), help="The audio's rate in Hz.")
@click.option(
    "--window",
    "window_s",
    required=True,
    type=FiniteRange(0, min_open=True),
    help="Length of the network's input, in seconds.",
)
@click.option(
    "--input",
    "source",
    required=True,
    type=click.Choice(["waveform", "mel"]),
    help="waveform: samples (n, frames). mel: mel images of birdwatch's front end (n, 1, height, width).",
)
@click.option(
    "--activation",
    required=True,
    type=click.Choice(["sigmoid", "softmax", "none"]),
    help="The function that maps the output to scores in 0..1; none if the network applies it.",
)
@click.option(
    "--resampler",
    type=click.Choice(["soxr", "kaiser_fast"]),
    default="soxr",
    show_default=True,
    help="For audio at other rates; kaiser_fast was librosa's default when many networks were trained.",
)
@click.option("--scores", help="The output with the scores. [default: the only one]")
@click.option("--embedding", help="The output for `birdwatch embed`, if there is one.")
@click.option("--threshold", type=FiniteRange(0, 1), default=0.5, show_default=True, help="Detection threshold.")
@click.option("--name", help="The model's name. [default: the file's name]")
@click.option("--license", "license_", default="", help="The model's licence, stored in the manifest.")
@click.option("--attribution", default="", help="Whom to credit, stored in the manifest.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write. [default: added, for --model NAME]")
def model_wrap(
    network: Path,
    labels: Path,
    rate_hz: int,
    window_s: float,
    source: Input,
    activation: Activation,
    resampler: ResamplerKind,
    scores: str | None,
    embedding: str | None,
    threshold: float,
    name: str | None,
    license_: str,
    attribution: str,
    out: Path | None,
) -> None:
    """Add a manifest to the ONNX file NETWORK, so that `run` and `listen` can use it.

    The network is first run on noise: its outputs must match the labels, and a window's scores must not depend on the
    other windows of the batch.
    """
    check_extra("onnx")
    from birdwatch.convert.label_files import read_labels
    from birdwatch.convert.wrap import load_onnx, look_at

    window_frames = round(window_s * rate_hz)
    if window_frames < 1:
        raise ConfigError(f"--window is {window_s:g} s, expected more than 0")
    target = out or store_folder() / f"{network.stem}.onnx"
    if out is not None:
        check_writable(out, inputs=identities([network, labels]))
    model = load_onnx(network)
    frontend = _frontend(model, rate_hz, window_frames) if source == "mel" else None
    shape = (window_frames,) if frontend is None else (1, frontend.height, frontend.width)
    outputs = look_at(model, shape, scores=scores, embedding=embedding)
    manifest = Manifest(
        name=name or network.stem,
        labels=read_labels(labels, outputs.classes),
        rate_hz=rate_hz,
        window_frames=window_frames,
        frontend=frontend,
        input=source,
        activation=activation,
        threshold=threshold,
        resampler=resampler,
        scores_output=outputs.scores,
        embedding_output=outputs.embedding,
        license=license_,
        attribution=attribution,
        provenance={"source": network.name},
    )
    write_model(target, with_probe(model, manifest, outputs))
    if activation == "sigmoid" and outputs.in_unit_range and outputs.classes > 1:
        click.echo(
            f"birdwatch: for noise, {outputs.scores!r} gives {outputs.lowest:.3g} to {outputs.highest:.3g}; if the "
            "network applies a sigmoid itself, wrap it again with --activation none",
            err=True,
        )
    click.echo(f"{target}: {len(manifest.labels)} classes, {window_s:g} s at {rate_hz} Hz", err=True)
    click.echo(f"use it with --model {network.stem if out is None else out}", err=True)


def with_probe(model: Any, manifest: Manifest, outputs: Outputs) -> bytes:
    """The model file's bytes, with its scores on this machine as its probe; it is loaded as in `run` to get them."""
    from birdwatch.convert.wrap import wrapped

    with tempfile.TemporaryDirectory(prefix="birdwatch-") as folder:
        trial = Path(folder) / "trial.onnx"
        trial.write_bytes(wrapped(model, manifest, outputs))
        probe = _probe(OnnxClassifier(trial, provider="cpu"))
    return wrapped(model, dataclasses.replace(manifest, probe=probe.to_manifest()), outputs)


def _probe(classifier: OnnxClassifier) -> Probe:
    clips = probe_clips(classifier.manifest.window_frames)
    scores = classifier.score(clips)
    return Probe.of_scores(scores, clips, tolerance=TOLERANCE, tolerance_log_odds=TOLERANCE_LOG_ODDS)


def _frontend(model: object, rate_hz: int, window_frames: int) -> FrontendSpec:
    """birdwatch's front end at the network's rate, window and image size."""
    sizes = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim]  # type: ignore[attr-defined]
    if len(sizes) != 4 or sizes[1] != 1:
        raise ModelError(f"--input mel needs a network that takes (n, 1, height, width); this one takes {sizes}")
    default = FrontendSpec()
    return dataclasses.replace(
        default,
        rate_hz=rate_hz,
        window_frames=window_frames,
        fmax_hz=min(default.fmax_hz, rate_hz / 2),
        height=sizes[2] or default.height,
        width=sizes[3] or default.width,
    )
