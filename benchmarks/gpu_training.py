"""Windows a second that training takes through the network on a GPU: full-size EfficientNetB0, forwards and backwards.

    python benchmarks/gpu_training.py [--batch 64] [--steps 60] [--json]

Images are ready in the GPU's memory, so this is the bound that loading and mixing have to keep up with. Needs torch and
timm; without a GPU it runs on the CPU, which says so in its table.
"""

from __future__ import annotations

import time

import click
import torch
from torch import nn

from birdwatch.bench.report import Measure, Report
from birdwatch.checkpoint.network import ModelArguments, build_network

CLASSES = 206
WARM_UP = 5


def rate(batch: int, steps: int, device: str, kind: torch.dtype | None) -> float:
    """Windows a second with autocast to `kind`, or in float32 where it is None."""
    torch.manual_seed(0)
    network = build_network(ModelArguments(CLASSES)).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    images = torch.rand(batch, 1, 256, 256, device=device)
    targets = (torch.rand(batch, CLASSES, device=device) < 0.02).float()
    lost = nn.BCEWithLogitsLoss()

    def step() -> None:
        with torch.autocast(device, kind or torch.bfloat16, enabled=kind is not None):
            loss = lost(network(images).float(), targets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(WARM_UP):
        step()
    wait()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return batch * steps / (time.perf_counter() - began)


@click.command()
@click.option("--batch", default=64, show_default=True, type=click.IntRange(1))
@click.option("--steps", default=60, show_default=True, type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True)
def main(batch: int, steps: int, as_json: bool) -> None:
    """Measure float32 and bfloat16."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kinds = {"float32": None, "bfloat16": torch.bfloat16}
    measures = tuple(
        Measure(f"training.{name}", rate(batch, steps, device, kind), "windows/s", "higher", f"batches of {batch}")
        for name, kind in kinds.items()
    )
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    report = Report("training", {"device": name, "torch": torch.__version__}, measures)
    click.echo(report.json() if as_json else report.table())


if __name__ == "__main__":
    main()
