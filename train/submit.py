"""A submission from several exported models: overlapping windows averaged, models blended, neighbours smoothed.

The first model always scores everything. Another one is begun only while the budget has room for as long as the slowest
one before it took, so what runs out of time is a member of the ensemble and not the submission.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO, cast

import numpy as np

from birdwatch.api import load_model
from birdwatch.atomic_write import check_writable, written_beside
from birdwatch.audio.file import AudioFile
from birdwatch.audio.types import FloatArray
from birdwatch.errors import ConfigError, DecodeError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.scores.pipeline import WindowStream, windows_of
from birdwatch.tables.submission import check_row_names, read_template

from .dataset import Recording, read_unlabelled
from .inference import Blend, averaged_segments, blended, smoothed_over_time
from .progress import tracked

__all__ = ["SubmitOptions", "parse_budget", "parse_kernel", "write_submission"]

Say = Callable[[str], None]
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """The command's options. models: the best first; kernel: weights over neighbouring rows; budget_s: 0 is none."""

    models: tuple[Path, ...]
    audio: Path
    out: Path
    template: Path | None = None
    row_s: float = 5.0
    hop_s: float = 0.0
    kernel: tuple[float, ...] = (1.0,)
    blend: Blend = "mean"
    power: float = 2.0
    budget_s: float = 0.0


def parse_kernel(text: str) -> tuple[float, ...]:
    """`.2/.6/.2` as weights; raises ConfigError for an even number of them, negative ones, or no number."""
    try:
        weights = tuple(float(part) for part in text.split("/")) if text else (1.0,)
    except ValueError:
        weights = ()
    if len(weights) % 2 == 0 or min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise ConfigError(f"--smooth is {text!r}, expected an odd number of weights such as .2/.6/.2")
    return weights


def parse_budget(text: str) -> float:
    """`85min`, `1.5h` or `300s` in seconds; 0 for an empty text. Raises ConfigError."""
    if not text:
        return 0.0
    match = re.fullmatch(r"([0-9]*\.?[0-9]+) *(s|min|h)", text)
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"--budget is {text!r}, expected a time such as 85min, 1.5h or 300s")
    return float(match[1]) * UNITS[match[2]]


def write_submission(
    options: SubmitOptions, *, say: Say, clock: Callable[[], float] = monotonic, quiet: bool = False
) -> int:
    """Write the table, `row_id` and a column for each class; returns how many models took part. clock: for tests."""
    began_s = clock()
    check_writable(options.out)
    if options.row_s <= 0 or options.hop_s < 0 or options.power <= 0:
        raise ConfigError("--row-s and --power must be above 0, --hop-s at least 0")
    recordings = read_unlabelled(options.audio)
    check_row_names(recording.path.stem for recording in recordings)
    members: list[list[FloatArray]] = []
    codes: tuple[str, ...] = ()
    longest_s = 0.0
    for path in options.models:
        member_began_s = clock()
        if members and options.budget_s and member_began_s - began_s + longest_s > options.budget_s:
            say(f"the budget leaves no time for {path.name} and what comes after it; {len(members)} models are blended")
            break
        model = load_model(path)
        codes = codes or model.manifest.codes
        if model.manifest.codes != codes:
            raise ConfigError(f"{path} has other labels than {options.models[0]}; they cannot be blended")
        found = tracked(recordings, len(recordings), path.name, quiet=quiet)
        members.append([segments_of(model, recording, options, say=say) for recording in found])
        longest_s = max(longest_s, clock() - member_began_s)
    rows = joined(recordings, members, options)
    write_rows(options, codes, rows, say=say)
    say(f"{options.out}: {len(recordings)} recordings, {len(members)} of {len(options.models)} models")
    return len(members)


def segments_of(model: OnnxClassifier, recording: Recording, options: SubmitOptions, *, say: Say) -> FloatArray:
    """The scores `(rows, classes)` of a recording; none, and a line, for one that cannot be read."""
    manifest = model.manifest
    try:
        audio = AudioFile(recording.path)
        stream = WindowStream(audio.rate_hz, manifest, hop_s=options.hop_s or options.row_s)
        windows = list(model.score_windows(windows_of(audio.blocks(), stream)))
    except DecodeError as error:
        say(f"not scored: {error}")
        windows = []
    return averaged_segments(
        windows,
        window_frames=manifest.window_frames,
        segment_frames=round(options.row_s * manifest.rate_hz),
        classes=len(manifest.labels),
    )


def joined(
    recordings: Sequence[Recording], members: Sequence[Sequence[FloatArray]], options: SubmitOptions
) -> dict[str, FloatArray]:
    """Each row's scores by its id: the models blended over all rows, then smoothed within each recording."""
    # Windows of another length may end a row later.
    lengths = [max(map(len, parts)) for parts in zip(*members, strict=True)]
    filled = [np.concatenate([extended(*pair) for pair in zip(member, lengths, strict=True)]) for member in members]
    table = blended(filled, options.blend, power=options.power)
    rows: dict[str, FloatArray] = {}
    for recording, part in zip(recordings, np.split(table, np.cumsum(lengths)[:-1]), strict=True):
        for number, scores in enumerate(smoothed_over_time(part, options.kernel), start=1):
            rows[f"{recording.path.stem}_{number * options.row_s:g}"] = scores
    return rows


def extended(scores: FloatArray, length: int) -> FloatArray:
    """Scores `(rows, classes)` with the last row repeated to `length` rows; zeros where there is none."""
    return np.pad(scores, ((0, length - len(scores)), (0, 0)), mode="edge" if len(scores) else "constant")


def write_rows(options: SubmitOptions, codes: Sequence[str], rows: Mapping[str, FloatArray], *, say: Say) -> None:
    """The table in the template's order of rows and columns; what it lists and no recording gave is 0."""
    columns, ids = read_template(options.template) if options.template else (list(codes), list(rows))
    missing = [name for name in ids if name not in rows]
    if missing:
        say(f"{len(missing)} rows of the template, such as {missing[0]}, are of no recording here and are 0")
    place = {code: number for number, code in enumerate(codes)}
    order = [place.get(column) for column in columns]
    with written_beside(options.out) as stream:
        writer = csv.writer(cast("IO[str]", stream), lineterminator="\n")
        writer.writerow(["row_id", *columns])
        for name in ids:
            scores = rows.get(name)
            cells = [0.0 if scores is None or i is None else float(scores[i]) for i in order]
            writer.writerow([name, *(f"{cell:.7g}" for cell in cells)])
