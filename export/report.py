"""The table of size, latency and parity: what each kind of export of one model costs and how true it is."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from birdwatch.audio.types import FloatArray
from birdwatch.errors import ModelError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.session import CPU

from .clips import verification_windows
from .source import Source
from .verify import Kind, measure
from .write import write_model

__all__ = ["KINDS", "Row", "report", "table"]

KINDS = (
    Kind(),
    Kind(storage="fp16"),
    Kind(precision="fp16"),
    Kind(fused=True),
    Kind(fused=True, storage="fp16"),
    Kind(fused=True, precision="fp16"),
)
# Repeats of a timing; the best one is what the machine can do when nothing else runs on it.
REPEATS = 7


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of export on one provider; latencies are of a window, front end included, in a batch of 1 and of 8."""

    kind: Kind
    provider: str
    megabytes: float
    latency_ms: tuple[float, float]
    difference: float
    refused: str = ""


def report(source: Source, *, recordings: Sequence[Path] = ()) -> Iterator[Row]:
    """Export `source` in every kind into a temporary folder, and measure each on the best provider of this machine."""
    samples, windows = verification_windows(source.manifest, recordings)
    with tempfile.TemporaryDirectory(prefix="birdwatch-") as folder:
        for kind in KINDS:
            try:
                written = write_model(source, Path(folder) / "model.onnx", kind, recordings=recordings)
            except ModelError as error:
                yield Row(kind, "", 0.0, (0.0, 0.0), 0.0, refused=str(error))
                continue
            classifier = OnnxClassifier(written.path)
            # A CPU computes halves as floats, which looks better than it is: there the export's own figure counts.
            parity = (
                written.parity
                if classifier.provider == CPU
                else measure(classifier, source.reference, samples, windows)
            )
            yield Row(
                kind,
                classifier.provider.removesuffix("ExecutionProvider"),
                written.bytes / 1e6,
                (_latency_ms(classifier, samples[:1]), _latency_ms(classifier, samples[:8])),
                parity.largest,
            )


def _latency_ms(classifier: OnnxClassifier, samples: FloatArray) -> float:
    # On a CPU a run is one thread's work, and its own time does not count what else the machine does.
    clock = time.thread_time if classifier.provider == CPU else time.perf_counter
    classifier.score(samples)  # the first run allocates
    times = []
    for _ in range(REPEATS):
        began = clock()
        classifier.score(samples)
        times.append(clock() - began)
    return 1e3 * min(times) / len(samples)


def table(rows: Iterator[Row]) -> Iterator[str]:
    """The rows as lines of a Markdown table."""
    yield "| export | provider | MB | ms a window, batch 1 | batch 8 | largest difference in a probability |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        if row.refused:
            yield f"| {row.kind.name} | refused: {row.refused} | | | | |"
        else:
            one, eight = row.latency_ms
            yield (
                f"| {row.kind.name} | {row.provider} | {row.megabytes:.1f} | {one:.1f} | {eight:.1f} "
                f"| {row.difference:.1e} (allowed {row.kind.tolerance:g}) |"
            )
