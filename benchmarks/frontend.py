"""The front end beside librosa and OpenCV, which compute the same images: in turns, on one core each.

    python benchmarks/frontend.py [--recording FILE] [--rounds 20] [--json]

Needs librosa and opencv-python-headless, which birdwatch itself does not: pip install -e '.[dev]'.
"""

from __future__ import annotations

import os

# Before NumPy's BLAS starts.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path

import click
import cv2
import librosa
import numpy as np

from birdwatch.audio.file import AudioFile
from birdwatch.audio.resample import Resampler
from birdwatch.bench.recording import song
from birdwatch.bench.report import Measure, Report, processor
from birdwatch.bench.timing import median_cost, taking_turns
from birdwatch.model.frontend import FrontendSpec, log_mel

BATCH = 8


def peer(window: np.ndarray, spec: FrontendSpec) -> np.ndarray:
    """What the published BirdCLEF notebooks compute."""
    power = librosa.feature.melspectrogram(
        y=window,
        sr=spec.rate_hz,
        n_fft=spec.n_fft,
        hop_length=spec.hop_frames,
        n_mels=spec.n_mels,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
    )
    db = librosa.power_to_db(power, ref=np.max)
    scaled = (db - db.min()) / (db.max() - db.min() + 1e-8)
    return cv2.resize(scaled, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR)


def windows_of(recording: Path | None, spec: FrontendSpec) -> np.ndarray:
    """BATCH windows, evenly through a recording or through made-up song."""
    if recording is None:
        audio = song(30.0, spec.rate_hz)
    else:
        source = AudioFile(recording)
        resampler = Resampler(source.rate_hz, spec.rate_hz)
        blocks = [part for block in source.blocks() for part in resampler.push(block)] + resampler.finish()
        audio = np.concatenate([block.samples for block in blocks])
    if len(audio) < spec.window_frames:
        raise click.ClickException(f"{recording} is shorter than a window of {spec.window_frames / spec.rate_hz:g} s")
    starts = np.linspace(0, len(audio) - spec.window_frames, BATCH).astype(int)
    return np.stack([audio[start : start + spec.window_frames] for start in starts])


@click.command()
@click.option("--recording", type=click.Path(path_type=Path), help="Windows of this file instead of made-up song.")
@click.option("--rounds", default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(recording: Path | None, rounds: int, as_json: bool) -> None:
    """Milliseconds a window of birdwatch's front end and of librosa + OpenCV, and how far apart the images are."""
    cv2.setNumThreads(1)
    spec = FrontendSpec()
    windows = windows_of(recording, spec)
    turns = taking_turns(
        {"birdwatch": lambda: log_mel(windows, spec), "librosa": lambda: [peer(window, spec) for window in windows]},
        rounds,
    )
    ours, theirs = median_cost(turns["birdwatch"]), median_cost(turns["librosa"])
    ratio = np.median([b.cpu_s / a.cpu_s for a, b in zip(turns["birdwatch"], turns["librosa"], strict=True)])
    apart = np.abs(log_mel(windows, spec)[:, 0] - np.stack([peer(window, spec) for window in windows])).max()
    per_window = 1e3 / BATCH
    measures = (
        Measure(
            "frontend.birdwatch", per_window * ours.cpu_s, "ms a window", "lower", f"processor time, {BATCH} a call"
        ),
        Measure(
            "frontend.librosa + OpenCV", per_window * theirs.cpu_s, "ms a window", "-", f"librosa {librosa.__version__}"
        ),
        Measure("frontend.ratio", float(ratio), "times as fast", "higher", "median over the turns"),
        Measure("frontend.birdwatch wall", per_window * ours.wall_s, "ms a window", "lower"),
        Measure("frontend.librosa + OpenCV wall", per_window * theirs.wall_s, "ms a window", "-"),
        Measure("frontend.largest difference", float(apart), "of 0..1", "lower", "of any pixel, between the two"),
    )
    audio = recording.name if recording is not None else "made-up song"
    report = Report("front end", {"machine": processor(), "audio": audio, "rounds": rounds}, measures)
    click.echo(report.json() if as_json else report.table())


if __name__ == "__main__":
    main()
