"""`birdwatch model check`: replay a model's probe, to prove that this machine gives the answers it was made with."""

from __future__ import annotations

import click

from birdwatch.errors import ModelError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.probe import replay_probe
from birdwatch.model.provider_names import PROVIDERS, Provider
from birdwatch.model.registry import find_model
from birdwatch.model.session import VERSION

__all__ = ["model_check"]


@click.command("check")
@click.argument("model", required=False, type=click.Path())
@click.option("--provider", type=click.Choice(PROVIDERS), default="auto", show_default=True)
def model_check(model: str | None, provider: Provider) -> None:
    """Score the probe that MODEL carries and compare with its own scores; exit 1 if they differ.

    MODEL is an .onnx file or the name of an added model; without it, the built-in one.
    """
    classifier = OnnxClassifier(find_model(model), provider=provider)
    result = replay_probe(classifier)
    where = f"{classifier.provider}, onnxruntime {VERSION}"
    measured = (
        f"scores within {result.difference:.1e} (allowed {result.probe.tolerance:g}), log-odds within "
        f"{result.difference_log_odds:.1e} (allowed {result.probe.tolerance_log_odds:g})"
    )
    if not result.passed:
        raise ModelError(
            f"{classifier.manifest.name} gives other scores here than where it was made: {measured} on {where}; "
            "try --provider cpu, and another version of onnxruntime"
        )
    click.echo(f"{classifier.manifest.name}: the same answer to {result.clips} clips on {where}: {measured}")
