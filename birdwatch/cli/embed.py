"""`birdwatch embed`: one vector a window, for those who cluster and search."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import click
import numpy as np

from birdwatch._version import __version__
from birdwatch.atomic_write import check_writable, identities, written_beside
from birdwatch.audio.file import AudioFile
from birdwatch.audio.windows import hop_frames_of
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import Job, look_at
from birdwatch.batch.local_runner import Outcome
from birdwatch.batch.results import errors_path, write_errors
from birdwatch.cli.numbers import FiniteRange
from birdwatch.errors import ConfigError, InferenceError, SourceError
from birdwatch.model.classifier import OnnxClassifier, Provider
from birdwatch.model.registry import find_model
from birdwatch.scores.pipeline import WindowStream, windows_of
from birdwatch.tables.embeddings import Embedded, write_embeddings
from birdwatch.tables.parquet import require_pyarrow
from birdwatch.wording import counted

__all__ = ["embed"]


@click.command()
@click.argument("recordings", nargs=-1, required=True, type=click.Path())
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The .parquet file to write.")
@click.option("--model", type=click.Path(), help="An .onnx file, or the name of an added model. [default: built in]")
@click.option(
    "--hop",
    "hop_s",
    type=FiniteRange(0, min_open=True),
    help="Seconds between windows. [default: a whole window, none twice]",
)
@click.option("--recursive/--no-recursive", default=True, show_default=True, help="Also folders inside folders.")
@click.option("--include", multiple=True, metavar="PATTERN", help="Only files of folders that match, as '*.wav'.")
@click.option(
    "--provider", type=click.Choice(["auto", "cuda", "cpu"]), default="auto", show_default=True, help="What computes."
)
def embed(
    recordings: tuple[str, ...],
    out: Path,
    model: str | None,
    hop_s: float | None,
    recursive: bool,
    include: tuple[str, ...],
    provider: Provider,
) -> None:
    """Write one vector for each window of RECORDINGS, with where and when it was.

    The model must have an embedding output: BirdNET has one of 1024 numbers. RECORDINGS are files, folders, @list.txt
    (one path a line), or - for such a list on stdin.
    """
    require_pyarrow()
    if out.suffix != ".parquet":
        raise ConfigError(f"--out is {out}; embeddings are written as Parquet, expected a name that ends in .parquet")
    inputs = find_inputs(
        recordings, recursive=recursive, include=include, notice=lambda line: click.echo(line, err=True)
    )
    path = find_model(model)
    lists = [Path(name[1:]) for name in recordings if name.startswith("@")]
    read = identities([path, *lists, *(item.path for item in inputs)])
    for file in (out, errors_path(out)):
        check_writable(file, inputs=read)
    classifier = OnnxClassifier(path, provider=provider)
    manifest = classifier.manifest
    hop_s = manifest.window_s if hop_s is None else hop_s
    hop_frames_of(hop_s, manifest.window_frames, manifest.rate_hz)
    # Says at once that a model has none, and how long its vectors are.
    size = classifier.embed(np.zeros((1, manifest.window_frames), np.float32)).shape[1]
    jobs = [job for found in look_at(inputs) for job in found]
    failed: list[Outcome] = []
    began = time.perf_counter()
    about = {"birdwatch": __version__, "model": manifest.name, "model_sha256": classifier.sha256, "hop_s": hop_s}
    with written_beside(out, binary=True) as stream:
        count = write_embeddings(
            cast(IO[bytes], stream), _embedded(jobs, classifier, hop_s, failed), size=size, about=about
        )
        if len(failed) == len(jobs):
            raise SourceError(failed[0].fault if len(jobs) == 1 else f"none of {len(jobs)} recordings could be read")
    write_errors(out, failed)
    click.echo(
        f"{counted(count, 'vector')} of {size} numbers from {counted(len(jobs) - len(failed), 'recording')} in "
        f"{time.perf_counter() - began:.1f} s on {classifier.provider}; {out}",
        err=True,
    )
    if failed:
        click.echo(f"birdwatch: {len(failed)} of {len(jobs)} recordings failed, see {errors_path(out)}", err=True)
        sys.exit(3)


def _embedded(
    jobs: Sequence[Job], classifier: OnnxClassifier, hop_s: float, failed: list[Outcome]
) -> Iterator[Embedded]:
    """The vectors of all recordings in order; what breaks off keeps the vectors before, and is noted in `failed`."""
    rate_hz = classifier.manifest.rate_hz
    for job in jobs:
        try:
            if job.fault is not None:
                raise SourceError(job.fault)
            audio = AudioFile(job.path)
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
        except (SourceError, InferenceError) as error:
            failed.append(Outcome(job, fault=str(error)))
