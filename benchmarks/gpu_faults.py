"""What becomes of scoring when a GPU's memory is full and when the GPU fails: on a real one.

    python benchmarks/gpu_faults.py --model bird-gpu.onnx [--json]

Memory is filled with torch before birdwatch starts. A failed device-side assertion then makes every later call to CUDA
in this process fail, as a GPU does that was lost. In both cases all windows have to be scored, as the CPU scores them,
and the classifier has to say what happened. Needs torch and an NVIDIA GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch

from birdwatch.audio.types import FloatArray, Window
from birdwatch.bench.report import Measure, Report
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.session import CPU, CUDA, VERSION

# Left of the GPU's memory: too little for a batch of BATCH.
LEFT_BYTES = 1 << 30
BATCH = 4096
WINDOWS = 64
# In scores 0..1: half precision against the CPU's float32.
TOLERANCE = 2e-2


def scores_of(classifier: OnnxClassifier, windows: list[Window]) -> FloatArray:
    return np.stack([scored.scores for scored in classifier.score_windows(windows)])


def full_memory(model: Path, windows: list[Window]) -> tuple[FloatArray, OnnxClassifier]:
    """Score while all but LEFT_BYTES of the GPU's memory is taken."""
    free, _ = torch.cuda.mem_get_info()
    held = torch.empty(max(0, free - LEFT_BYTES), dtype=torch.uint8, device="cuda")
    classifier = OnnxClassifier(model, provider="auto", batch_size=BATCH)
    scores = scores_of(classifier, windows)
    del held
    torch.cuda.empty_cache()
    return scores, classifier


def lost_device(model: Path, windows: list[Window]) -> tuple[FloatArray, OnnxClassifier]:
    """Score half of the windows, lose the GPU, score the rest."""
    classifier = OnnxClassifier(model, provider="cuda", batch_size=16)
    first = scores_of(classifier, windows[: len(windows) // 2])
    try:
        torch.zeros(1, device="cuda")[torch.tensor([1 << 20], device="cuda")].cpu()
    except RuntimeError as error:
        click.echo(f"the GPU is lost: {str(error).splitlines()[0]}", err=True)
    return np.concatenate([first, scores_of(classifier, windows[len(windows) // 2 :])]), classifier


@click.command()
@click.option("--model", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--json", "as_json", is_flag=True)
def main(model: Path, as_json: bool) -> None:
    """Run both faults; exit 1 where a score is missing or wrong, or nothing is said."""
    reference = OnnxClassifier(model, provider="cpu")
    frames = reference.manifest.window_frames
    noise = np.random.default_rng(0).normal(0.0, 0.1, (WINDOWS, frames)).astype(np.float32)
    windows = [Window(samples, number * frames, frames) for number, samples in enumerate(noise)]
    expected = scores_of(reference, windows)
    measures, wrong = [], []
    # The lost device last: nothing in this process reaches the GPU after it.
    faults: dict[str, Callable[[Path, list[Window]], tuple[FloatArray, OnnxClassifier]]] = {
        "full memory": full_memory,
        "lost device": lost_device,
    }
    for name, fault in faults.items():
        found, classifier = fault(model, windows)
        apart = float(np.abs(found - expected).max())
        said = classifier.setback or "nothing was said"
        measures.append(Measure(f"fault.{name}", apart, "from the CPU's scores", "lower", said))
        ended = CPU if name == "lost device" else CUDA
        if apart > TOLERANCE or classifier.setback is None or classifier.provider != ended:
            wrong.append(f"{name}: {apart:.2g} from the CPU's scores, on {classifier.provider}, {said}")
    setting = {"gpu": torch.cuda.get_device_name(), "model": model.name, "onnxruntime": VERSION}
    report = Report("faults of a GPU", setting, tuple(measures))
    click.echo(report.json() if as_json else report.table())
    if wrong:
        click.echo("; ".join(wrong), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
