"""`birdwatch embed`: one vector per window, to cluster and search."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import click
import numpy as np

from birdwatch._version import __version__
from birdwatch.atomic_write import identities
from birdwatch.audio.isolated import Decoders
from birdwatch.audio.windows import hop_frames_of
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import Job, look_at
from birdwatch.batch.local_runner import Outcome
from birdwatch.batch.results import errors_path, write_errors
from birdwatch.batch.staging import Staging
from birdwatch.cli.parameters import FiniteRange, NamedPath
from birdwatch.cli.run_summary import print_failures, print_warnings
from birdwatch.errors import ConfigError, InferenceError, SourceError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.provider_names import PROVIDERS, Provider
from birdwatch.model.registry import find_model
from birdwatch.paths import text_of
from birdwatch.scores.pipeline import WindowStream, windows_of
from birdwatch.tables.embeddings import Embedded, write_embeddings
from birdwatch.tables.own_files import check_replaceable, table_beside
from birdwatch.tables.parquet import require_pyarrow
from birdwatch.wording import counted

__all__ = ["embed"]


@click.command()
@click.argument("recordings", nargs=-1, required=True, type=click.Path())
@click.option("--out", required=True, type=NamedPath(), help="The .parquet file to write.")
@click.option("--model", type=click.Path(), help="An .onnx file, or the name of an added model. [default: built in]")
@click.option(
    "--hop",
    "hop_s",
    type=FiniteRange(0, min_open=True),
    help="Seconds between windows. [default: a window, without overlap]",
)
@click.option("--recursive/--no-recursive", default=True, show_default=True, help="Search folders recursively.")
@click.option("--include", multiple=True, metavar="PATTERN", help="Only files in folders that match, such as '*.wav'.")
@click.option("--provider", type=click.Choice(PROVIDERS), default="auto", show_default=True, help="Execution provider.")
def embed(
    recordings: tuple[str, ...],
    out: Path,
    model: str | None,
    hop_s: float | None,
    recursive: bool,
    include: tuple[str, ...],
    provider: Provider,
) -> None:
    """Write one embedding per window of RECORDINGS, with the window's recording and time.

    The model must have an embedding output: BirdNET has one of 1024 numbers. RECORDINGS are files, folders, @list.txt
    (one path per line), or - for such a list on stdin.
    """
    require_pyarrow()
    if out.suffix != ".parquet":
        raise ConfigError(f"--out is {out}; embeddings are written as Parquet, expected a name that ends in .parquet")
    inputs = find_inputs(
        recordings, recursive=recursive, include=include, notice=lambda line: click.echo(line, err=True)
    )
    path = find_model(model)
    lists = [Path(name[1:]) for name in recordings if name.startswith("@")]
    read = identities([path, *lists, *(item.path for item in inputs if not item.url)])
    for file in (out, errors_path(out)):
        check_replaceable(file, inputs=read)
    classifier = OnnxClassifier(path, provider=provider)
    manifest = classifier.manifest
    hop_s = manifest.window_s if hop_s is None else hop_s
    hop_frames_of(hop_s, manifest.window_frames, manifest.rate_hz)
    # Fails early if the model has no embedding; else this is the length of its embeddings.
    size = classifier.embed(np.zeros((1, manifest.window_frames), np.float32)).shape[1]
    began = time.perf_counter()
    about = {"birdwatch": __version__, "model": manifest.name, "model_sha256": classifier.sha256, "hop_s": hop_s}
    # As in a run: several recordings are decoded in separate processes, so that a crash fails only one of them.
    with Decoders(1 if len(inputs) > 1 else 0) as decoders, table_beside(out, binary=True) as stream:
        jobs = [job for found in look_at(inputs, decoders=decoders) for job in found]
        outcomes: list[Outcome] = []
        with Staging(jobs, 1) as staging:
            rows = _embedded(jobs, staging, decoders, classifier, hop_s, outcomes)
            count = write_embeddings(cast(IO[bytes], stream), rows, size=size, about=about)
        failed = [outcome for outcome in outcomes if outcome.fault]
        if len(failed) == len(jobs):
            raise SourceError(failed[0].fault if len(jobs) == 1 else f"none of {len(jobs)} recordings could be read")
    write_errors(out, failed)
    print_warnings([outcome.warning for outcome in outcomes if outcome.warning])
    click.echo(
        f"{counted(count, 'vector')} of {size} numbers from {counted(len(jobs) - len(failed), 'recording')} in "
        f"{time.perf_counter() - began:.1f} s on {classifier.provider}; {out}",
        err=True,
    )
    print_failures(len(failed), len(jobs), errors_path(out))
    sys.exit(3 if failed else 0)


def _embedded(
    jobs: Sequence[Job],
    staging: Staging,
    decoders: Decoders,
    classifier: OnnxClassifier,
    hop_s: float,
    outcomes: list[Outcome],
) -> Iterator[Embedded]:
    """The embeddings of all recordings in order, of a broken one those before the fault; fills `outcomes`."""
    rate_hz = classifier.manifest.rate_hz
    for job in jobs:
        try:
            if job.fault is not None:
                raise SourceError(job.fault)
            with staging.files(job) as here:
                audio = decoders.open(here.path)
                stream = WindowStream(audio.rate_hz, classifier.manifest, hop_s=hop_s)
                for window, vector in classifier.embed_windows(windows_of(audio.blocks(), stream)):
                    since_ns = window.start_frame * 1_000_000_000 // rate_hz
                    yield Embedded(
                        job.name,
                        job.path,
                        window.start_frame / rate_hz,
                        (window.start_frame + window.valid_frames) / rate_hz,
                        None if job.start_utc_ns is None else job.start_utc_ns + since_ns,
                        vector,
                    )
            warnings = "; ".join([*filter(None, [job.warning]), *audio.warnings])
            outcomes.append(Outcome(job, warning=text_of(staging.shown(warnings))))
        except (SourceError, InferenceError) as error:
            outcomes.append(Outcome(job, fault=staging.shown(str(error))))
