"""The bare network in ONNX Runtime, as birdwatch runs it, and in OpenVINO: in turns, in one process.

    python benchmarks/openvino_network.py [--model FILE] [--rounds 10] [--json]

Needs openvino, which birdwatch does not: pip install openvino.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click
import numpy as np
import openvino

from birdwatch.bench.network import BareNetwork, inputs
from birdwatch.bench.report import Measure, Report, processor
from birdwatch.bench.timing import Cost, median_cost, taking_turns
from birdwatch.model.classifier import CPU_BATCH, OnnxClassifier
from birdwatch.model.registry import find_model
from birdwatch.model.session import VERSION, HostNetwork, open_session
from birdwatch.process import cores

# Windows in a turn.
WINDOWS = 32


def openvino_rate(path: Path, values: np.ndarray, *, threads: int, streams: int, precision: str):
    """A call that scores WINDOWS windows with `streams` requests in flight, and the output of one request."""
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams, "INFERENCE_PRECISION_HINT": precision}
    model = core.read_model(path)
    model.reshape({0: list(values.shape)})
    compiled = core.compile_model(model, "CPU", settings)
    queue = openvino.AsyncInferQueue(compiled, streams)

    def call() -> None:
        for _ in range(max(1, WINDOWS // len(values))):
            queue.start_async({0: values})
        queue.wait_all()

    return call, lambda: compiled({0: values})[0]


@click.command()
@click.option("--model", help="An .onnx model, or the name of an added one. [default: built in]")
@click.option("--rounds", default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(model: str | None, rounds: int, as_json: bool) -> None:
    """Windows a second of the network alone: one core, and all of them; float32, and OpenVINO's own choice."""
    path = find_model(model)
    classifier = OnnxClassifier(path, provider="cpu")
    manifest, batch = classifier.manifest, CPU_BATCH
    values = inputs(manifest, batch)
    network = HostNetwork(open_session(path.read_bytes(), path))

    def ours(at_once: int) -> BareNetwork:
        return BareNetwork(network=network, output=manifest.scores_output, batch=batch, at_once=at_once, threads=1)

    runs = WINDOWS // batch
    calls, outputs = {}, {}
    for count, name in ((1, "one core"), (cores(), "all cores")):
        calls[f"{name} onnxruntime"] = lambda count=count: ours(count).run(values, max(1, runs // count))
        for precision in ("f32", "bf16"):
            key = f"{name} openvino {precision}"
            calls[key], outputs[key] = openvino_rate(path, values, threads=count, streams=count, precision=precision)
    turns = taking_turns(calls, rounds)
    expected = network.run(manifest.scores_output, values)
    measures = []
    for name, costs in turns.items():
        cost: Cost = median_cost(costs)
        apart = ""
        if name in outputs:
            apart = f", outputs differ by at most {np.abs(outputs[name]() - expected).max():.1g}"
        base = turns[name.split(" openvino")[0].split(" onnxruntime")[0] + " onnxruntime"]
        ratio = np.median([a.cpu_s / b.cpu_s for a, b in zip(base, costs, strict=True)])
        note = f"{1e3 * cost.cpu_s / WINDOWS:.2f} ms of one core a window, {ratio:.2f} x ours{apart}"
        better: Literal["higher", "-"] = "higher" if "onnxruntime" in name else "-"
        measures.append(Measure(f"peer.{name}", WINDOWS / cost.wall_s, "windows/s", better, note))
    setting = {
        "machine": processor(),
        "model": f"{manifest.name} ({classifier.sha256[:12]})",
        "versions": f"onnxruntime {VERSION}, openvino {openvino.__version__}",
        "batch": batch,
    }
    report = Report("network in ONNX Runtime and in OpenVINO", setting, tuple(measures))
    click.echo(report.json() if as_json else report.table())


if __name__ == "__main__":
    main()
