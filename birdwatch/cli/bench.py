"""`birdwatch bench`: the speed of this machine, compared with that of its network alone."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from birdwatch.bench.network import network_measures
from birdwatch.bench.recording import write_recordings
from birdwatch.bench.report import Report, processor
from birdwatch.bench.stages import stage_measures
from birdwatch.bench.whole import latency_measures, process_measures, whole_measures
from birdwatch.cli.parameters import FiniteRange
from birdwatch.model.classifier import CPU_BATCH, OnnxClassifier
from birdwatch.model.provider_names import Provider
from birdwatch.model.registry import find_model
from birdwatch.model.session import CPU, VERSION

if TYPE_CHECKING:
    from birdwatch.bench.stream_audio import Codec

__all__ = ["bench"]

# Providers for which the bare network can be measured; benchmarks/openvino_network.py measures OpenVINO's.
BENCHED: tuple[Provider, ...] = ("auto", "cuda", "cpu")
# The file with which a whole `birdwatch run` process is timed.
SHORT_S = 10.0


@click.group(invoke_without_command=True)
@click.option("--model", help="An .onnx model, or the name of an added one. [default: built in]")
@click.option("--provider", type=click.Choice(BENCHED), default="auto", show_default=True)
@click.option("--seconds", type=FiniteRange(10, 86400), default=300.0, show_default=True, help="Length of the audio.")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Rounds per measurement.")
@click.option("--json", "as_json", is_flag=True, help="JSON, for benchmarks/compare.py, instead of the table.")
@click.pass_context
def bench(
    context: click.Context, model: str | None, provider: Provider, seconds: float, rounds: int, as_json: bool
) -> None:
    """Measure this machine: every stage alone, the bare network, and the whole pipeline.

    A synthetic recording of --seconds is scored. The bound is the bare network at its best setting on all cores; the
    share is the fraction of that speed which remains with decoding, resampling and mel images.
    """
    if context.invoked_subcommand is not None:
        return
    classifier = OnnxClassifier(find_model(model), provider=provider)
    report = measure(classifier, seconds=seconds, rounds=rounds)
    click.echo(report.json() if as_json else report.table())


@bench.command("listen")
@click.option("--seconds", type=FiniteRange(10, 86400), default=60.0, show_default=True, help="How long to listen.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of the table.")
@click.pass_context
def bench_listen(context: click.Context, seconds: float, as_json: bool) -> None:
    """Measure the processor time and memory that listening takes, and the latency of its messages.

    A synthetic recording is played in real time to a `birdwatch listen` process. --model and
    --provider go before `listen`: birdwatch bench --model FILE listen.
    """
    from birdwatch.bench.listening import listening_measures

    assert context.parent is not None
    options = context.parent.params
    classifier = OnnxClassifier(find_model(options["model"]), provider=options["provider"])
    measures = listening_measures(model=classifier.path, provider=_asked(classifier), seconds=seconds)
    report = Report("birdwatch bench listen", {**_setting(classifier), "listened": f"{seconds:g} s"}, tuple(measures))
    click.echo(report.json() if as_json else report.table())


@bench.command("streams")
@click.option("--seconds", type=FiniteRange(10, 3600), default=30.0, show_default=True, help="Length of each trial.")
@click.option("--first", type=click.IntRange(1, 100_000), default=32, show_default=True, help="Streams to start with.")
@click.option("--most", type=click.IntRange(1, 100_000), default=2000, show_default=True, help="Maximum of streams.")
@click.option("--codec", type=click.Choice(["pcm", "opus"]), default="pcm", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of the table.")
@click.pass_context
def bench_streams(context: click.Context, seconds: float, first: int, most: int, codec: Codec, as_json: bool) -> None:
    """Find the largest number of live streams that this machine can process (Linux).

    A real `birdwatch listen` process with real connections over loopback must drop nothing, have no gap, and publish
    95 % of the windows within 500 ms. The bound is the number of cores divided by the processor time of one window.
    """
    from birdwatch.bench.streams import Daemon, streams_measures

    # So that SIGTERM ends its child processes, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    assert context.parent is not None
    options = context.parent.params
    classifier = OnnxClassifier(find_model(options["model"]), provider=options["provider"])
    manifest = classifier.manifest
    hop_s = manifest.window_s / 2
    with tempfile.TemporaryDirectory(prefix="birdwatch-bench-") as folder:
        recordings = write_recordings(Path(folder), 30.0)
        kind = "ogg" if codec == "opus" else "wav"
        stages = {name: recordings[name] for name in (kind, "wav")}
        _, work_s = stage_measures(stages, manifest, seconds=30.0, hop_s=hop_s, rounds=3)
    path = classifier.path
    _, _, network_s = network_measures(path.read_bytes(), path, manifest, provider=classifier.provider, rounds=3)
    per_window_s = work_s[f"decode {kind}"] + work_s["resample"] + work_s.get("mel", 0.0)
    per_window_s += network_s if classifier.provider == CPU else 0.0
    measures, trials = streams_measures(
        Daemon(path, _asked(classifier), manifest.codes[0], hop_s),
        seconds=seconds,
        codec=codec,
        per_window_s=per_window_s,
        first=first,
        most=most,
        notify=lambda trial: click.echo(f"{trial}: {'carried' if trial.passes else 'too many'}", err=True),
    )
    report = Report("birdwatch bench streams", {**_setting(classifier), "trials": str(len(trials))}, tuple(measures))
    click.echo(report.json() if as_json else report.table())


def _asked(classifier: OnnxClassifier) -> Provider:
    """The --provider that gives what this classifier has."""
    return "cpu" if classifier.provider == CPU else "cuda"


def _setting(classifier: OnnxClassifier) -> dict[str, str]:
    return {
        "machine": processor(),
        "model": f"{classifier.manifest.name} ({classifier.sha256[:12]})",
        "provider": f"{classifier.provider}, onnxruntime {VERSION}",
    }


def measure(classifier: OnnxClassifier, *, seconds: float, rounds: int) -> Report:
    """All measurements of `birdwatch bench`, for a loaded model."""
    manifest = classifier.manifest
    hop_s = manifest.window_s / 2
    with tempfile.TemporaryDirectory(prefix="birdwatch-bench-") as folder:
        _say(f"writing {seconds:g} s of audio")
        recordings = write_recordings(Path(folder), seconds)
        _say("the stages before the network")
        stages, work_s = stage_measures(recordings, manifest, seconds=seconds, hop_s=hop_s, rounds=rounds)
        _say("the bare network")
        network, best, network_s = network_measures(
            classifier.path.read_bytes(), classifier.path, manifest, provider=classifier.provider, rounds=rounds
        )
        _say("from a file to scores")
        whole = whole_measures(
            recordings,
            classifier,
            best,
            seconds=seconds,
            hop_s=hop_s,
            rounds=rounds,
            work_s={**work_s, "network": network_s} if classifier.provider == CPU else work_s,
        )
        # As in a station: on CUDA every batch is padded.
        latency = latency_measures(OnnxClassifier(classifier.path, provider=_asked(classifier), batch_size=CPU_BATCH))
        _say("whole processes")
        (Path(folder) / "short").mkdir()
        short = write_recordings(Path(folder) / "short", SHORT_S)
        process = process_measures(
            recordings["ogg"],
            short["ogg"],
            model=classifier.path,
            provider=_asked(classifier),
            seconds=seconds,
            rounds=rounds,
        )
    setting = {
        **_setting(classifier),
        "recording": f"{seconds:g} s, a window each {hop_s:g} s, medians of {rounds}",
    }
    measures = (*stages, *network, *whole, *latency, *process)
    return Report("birdwatch bench", setting, measures)


def _say(what: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"measuring {what} ...", err=True)
