"""A training step on a processor: float32, bfloat16 as torch has it, and bfloat16 with train/depthwise.py, in turns.

    python benchmarks/training_step.py [--arch efficientnet_b0] [--rounds 8] [--threads 1]

Milliseconds a window, wall and processor time, the median over the rounds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time

import click
import timm
import torch
import torch.nn.functional as F

from train.depthwise import speed_up

BATCH = 32
CLASSES = 264


def step_of(network: torch.nn.Module, images: torch.Tensor, *, half: bool) -> Callable[[], None]:
    """A step of AdamW against zeros."""
    optimizer = torch.optim.AdamW(network.parameters(), 1e-5)
    target = torch.zeros(len(images), CLASSES)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            answer = network(images)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(answer.float(), target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


@click.command()
@click.option("--arch", default="efficientnet_b0", show_default=True)
@click.option("--height", default=128, show_default=True)
@click.option("--width", default=256, show_default=True)
@click.option("--rounds", default=8, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(arch: str, height: int, width: int, rounds: int, threads: int) -> None:
    """Print a row for each way."""
    torch.set_num_threads(threads)
    network = timm.create_model(arch, in_chans=1, num_classes=CLASSES)
    network = network.to(memory_format=torch.channels_last).train()
    images = torch.rand(BATCH, 1, height, width).contiguous(memory_format=torch.channels_last)
    fast = copy.deepcopy(network)
    layers = speed_up(fast)
    ways = {
        "float32": step_of(copy.deepcopy(network), images, half=False),
        "bfloat16, torch's gradients": step_of(network, images, half=True),
        f"bfloat16, own gradients of {layers} layers": step_of(fast, images, half=True),
    }
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, step in ways.items():
            wall, used = perf_counter(), process_time()
            step()
            if number:  # the first one warms up
                took[name].append((perf_counter() - wall, process_time() - used))
    print(f"{arch}, {height} x {width}, batches of {BATCH}, {threads} threads, torch {torch.__version__}")
    for name, times in took.items():
        wall_ms, used_ms = (1e3 / BATCH * median(column) for column in zip(*times, strict=True))
        print(f"| {name} | {wall_ms:.1f} | {used_ms:.1f} |")


if __name__ == "__main__":
    main()
