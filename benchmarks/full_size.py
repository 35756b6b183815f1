"""`birdwatch bench` with the published recipe's network: a full-size EfficientNetB0, 0.5 GMAC, untrained.

    python benchmarks/full_size.py [--seconds 600] [--json]

The built-in model is a quarter of that, so that everything around it weighs four times as much. Needs train and export.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click
import torch

from birdwatch.checkpoint.file import Checkpoint, save_checkpoint
from birdwatch.checkpoint.network import ModelArguments, build_network
from birdwatch.model.frontend import FrontendSpec
from birdwatch.model.manifest import Label, Manifest

CLASSES = 264


def write_checkpoint(path: Path) -> None:
    """A network whose batch normalisations have seen images, so that its values are as large as a trained one's."""
    torch.manual_seed(0)
    arguments = ModelArguments(CLASSES)
    network = build_network(arguments).train()
    with torch.no_grad():
        for _ in range(6):
            network(torch.rand(8, 1, 256, 256))
    spec = FrontendSpec()
    labels = tuple(Label(f"bird{number}") for number in range(CLASSES))
    manifest = Manifest("efficientnet_b0, untrained", labels, spec.rate_hz, spec.window_frames, spec, license="MIT")
    save_checkpoint(path, Checkpoint(network.state_dict(), arguments, manifest))


@click.command()
@click.option("--seconds", default=600.0, show_default=True, help="Of the recording that is scored.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("--write-checkpoint", "only", type=click.Path(path_type=Path), help="Write the network here, and end.")
def main(seconds: float, as_json: bool, only: Path | None) -> None:
    """Make the network, export it, and measure with it what `birdwatch bench` measures."""
    if only is not None:
        write_checkpoint(only)
        return
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, model = Path(folder) / "full.pt", Path(folder) / "full.onnx"
        write_checkpoint(checkpoint)
        export = [sys.executable, "-m", "birdwatch_export", str(checkpoint), "--out", str(model)]
        exported = subprocess.run(export, capture_output=True, text=True)
        if exported.returncode:
            raise click.ClickException(f"the export failed: {exported.stderr.strip().splitlines()[-1]}")
        bench = [sys.executable, "-m", "birdwatch", "bench", "--model", str(model), "--provider", "cpu"]
        measured = subprocess.run([*bench, "--seconds", f"{seconds:g}", *(["--json"] if as_json else [])])
    sys.exit(measured.returncode)


if __name__ == "__main__":
    main()
