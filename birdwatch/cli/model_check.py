"""`birdwatch model check`: scores a model's probe, to verify that this machine gives the scores of its export."""

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
    """Score the probe of MODEL and compare with the scores of its export; exit 1 if they differ.

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
            f"{classifier.manifest.name} gives other scores here than at its export: {measured} on {where}; "
            "try --provider cpu, and another version of onnxruntime"
        )
    click.echo(f"{classifier.manifest.name}: the same scores for {result.clips} clips on {where}: {measured}")
