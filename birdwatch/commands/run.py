"""`birdwatch run`: recordings in, a submission out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import click
import numpy as np

from birdwatch.aggregate import thresholds
from birdwatch.audio import AudioBlock, FloatArray, RecordingScores
from birdwatch.errors import ConfigError, SourceError
from birdwatch.inference import OnnxClassifier, Provider
from birdwatch.model_store import find_model
from birdwatch.pipeline import score_recording
from birdwatch.sinks.beside import check_writable, written_beside
from birdwatch.sinks.tables import (
    SUBMISSION_COLUMNS,
    Row,
    kaggle_rows,
    read_template,
    submission_rows,
    template_rows,
    write_csv,
)
from birdwatch.sources.file import AUDIO_SUFFIXES, AudioFile
from birdwatch.windowing import hop_frames_of

__all__ = ["run"]


@click.command()
@click.argument("recordings", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The table to write.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["submission", "kaggle"]),
    default="submission",
    show_default=True,
    help="submission: row_id,class_name,presence. kaggle: one probability a class for each segment.",
)
@click.option("--template", type=click.Path(path_type=Path), help="A sample_submission.csv whose order kaggle takes.")
@click.option("--model", help="An .onnx file, or the name of an added model. [default: built in]")
@click.option("--hop", "hop_s", type=float, help="Seconds between windows. [default: half a window, 2.5]")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Presence from here on. [default: the model's own]")
@click.option(
    "--provider", type=click.Choice(["auto", "cuda", "cpu"]), default="auto", show_default=True, help="What computes."
)
def run(
    recordings: tuple[Path, ...],
    out: Path,
    form: str,
    template: Path | None,
    model: str | None,
    hop_s: float | None,
    threshold: float | None,
    provider: Provider,
) -> None:
    """Score RECORDINGS, files or folders, and write a table of what is in them."""
    if template is not None and form != "kaggle":
        raise click.UsageError("--template orders the columns of --format kaggle; add it, or leave --template out")
    check_writable(out)
    order = read_template(template) if template is not None else None
    sources = list(_sources(recordings))
    classifier = OnnxClassifier(find_model(model), provider=provider)
    manifest = classifier.manifest
    hop_frames_of(hop_s, manifest.window_frames, manifest.rate_hz)
    limits = thresholds(manifest, threshold)
    began = time.perf_counter()
    scored: list[RecordingScores] = []
    failed: list[tuple[Path, str]] = []
    rows: list[Row] = []
    with _progress(len(sources)) as advance:
        for name, path in sources:
            try:
                result = _score(name, path, classifier, hop_s)
            except SourceError as error:
                if len(sources) == 1:
                    raise
                failed.append((path, str(error)))
            else:
                scored.append(result)
                rows += (
                    submission_rows(result, manifest, limits) if form == "submission" else kaggle_rows(result, manifest)
                )
            advance()
    header: Row = SUBMISSION_COLUMNS if form == "submission" else ("row_id", *manifest.codes)
    if order is not None:
        rows, absent = template_rows(rows, manifest, order)
        header = ("row_id", *order[0])
        if absent:
            click.echo(f"birdwatch: {len(absent)} rows of {template} have no recording; they are 0", err=True)
    with written_beside(out) as stream:
        write_csv(cast(IO[str], stream), header, rows)
    _summarise(scored, classifier, limits, time.perf_counter() - began, out)
    if failed:
        errors = out.with_name(out.name + ".errors.csv")
        with written_beside(errors) as stream:
            write_csv(cast(IO[str], stream), ("recording", "reason"), [(str(path), reason) for path, reason in failed])
        click.echo(f"birdwatch: {len(failed)} of {len(sources)} recordings failed, see {errors}", err=True)
        sys.exit(3)


def _sources(recordings: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """Each recording's row id and path: the stem of a file, the path inside a folder without its suffix."""
    for path in recordings:
        if not path.is_dir():
            yield path.stem, path
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
        if not inside:
            raise ConfigError(f"{path} holds no recording; expected files such as .wav, .flac, .ogg or .mp3 in it")
        yield from (((p.relative_to(path).with_suffix("")).as_posix(), p) for p in inside)


def _score(name: str, path: Path, classifier: OnnxClassifier, hop_s: float | None) -> RecordingScores:
    audio = AudioFile(path)
    blocks: Iterator[AudioBlock] = audio.blocks()
    return score_recording(name, blocks, classifier, rate_hz=audio.rate_hz, hop_s=hop_s)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr where that is a terminal; nothing where it is not."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("recordings", total=total)
        yield lambda: bar.advance(task)


def _summarise(
    scored: list[RecordingScores], classifier: OnnxClassifier, limits: FloatArray, seconds: float, out: Path
) -> None:
    audio_s = sum(result.duration_s for result in scored)
    labels = classifier.manifest.labels
    best = np.max([result.scores for result in scored], axis=0) if scored else np.zeros(len(labels), np.float32)
    found = [i for i in np.argsort(-best) if best[i] >= limits[i]]
    click.echo(
        f"{len(scored)} recordings, {audio_s / 3600:.3f} h of audio in {seconds:.1f} s "
        f"({audio_s / seconds:.0f} times real time) on {classifier.provider}; {len(found)} species; {out}",
        err=True,
    )
    for i in found:
        count = sum(bool(result.scores[i] >= limits[i]) for result in scored)
        click.echo(f"  {best[i]:.2f}  {labels[i].common_name or labels[i].code}  in {count}", err=True)
