"""One stage of scoring, a fixed number of times, on a small fixed input: what `instructions.py` counts.

    python benchmarks/stage_work.py mel 3 FOLDER

FOLDER holds what `birdwatch.bench.recording.write_recordings` writes. Imports are where they are needed: under valgrind
each second of start is a minute.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

# Seconds of audio in a recording, with a window of 5 s each 2.5 s.
SECONDS = 10.0
RATE_HZ, WINDOW_FRAMES, HOP_FRAMES = 32000, 160000, 512

Work = Callable[[], object]


def decode(folder: Path, kind: str) -> Work:
    from birdwatch.audio.file import AudioFile

    path = folder / f"bench.{kind}"

    def work() -> None:
        for _ in AudioFile(path).blocks():
            pass

    return work


def resample(folder: Path, kind: str, out_rate_hz: int) -> Work:
    from birdwatch.audio.file import AudioFile
    from birdwatch.audio.resample import Resampler

    source = AudioFile(folder / "bench.wav")
    blocks = list(source.blocks())

    def work() -> None:
        resampler = Resampler(source.rate_hz, out_rate_hz, kind="kaiser_fast" if kind == "kaiser_fast" else "soxr")
        for block in blocks:
            resampler.push(block)
        resampler.finish()

    return work


def windows() -> Work:
    from birdwatch.audio.finite import finite_runs
    from birdwatch.audio.types import AudioBlock
    from birdwatch.audio.windows import Windower

    audio, step = noise(round(SECONDS * RATE_HZ)), 1 << 16
    blocks = [AudioBlock(audio[at : at + step], at, RATE_HZ) for at in range(0, len(audio), step)]

    def work() -> None:
        windower = Windower(WINDOW_FRAMES, WINDOW_FRAMES // 2)
        for block in blocks:
            for run in finite_runs(block):
                windower.push(run)
        windower.finish()

    return work


def noise(frames: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 0.1, frames).astype(np.float32)


def mel(shift: int) -> Work:
    from birdwatch.model.frontend import log_mel

    hop = shift or WINDOW_FRAMES // 2
    audio = noise(WINDOW_FRAMES + 3 * hop)
    batch = [audio[at * hop : at * hop + WINDOW_FRAMES] for at in range(4)]
    return lambda: log_mel(batch, shift=shift)


def fold() -> Work:
    from birdwatch.model.types import WindowScores
    from birdwatch.scores.aggregation import RecordingFold
    from birdwatch.scores.events import EventRule
    from birdwatch.scores.policy import ScoringPolicy

    classes = 206
    policy = ScoringPolicy(tuple(EventRule(0.5, 0.5) for _ in range(classes)))
    rng = np.random.default_rng(0)
    found = [np.where(rng.random(classes) < 0.05, 0.9, 0.01).astype(np.float32) for _ in range(4)]

    def work() -> None:
        recording = RecordingFold(policy, RATE_HZ)
        for number, values in enumerate(found):
            recording.push(WindowScores(number * WINDOW_FRAMES // 2, WINDOW_FRAMES, values))

    return work


# By name: what makes the work from the folder, and how many windows one time stands for.
STAGES: dict[str, tuple[Callable[[Path], Work], int]] = {
    "decode ogg": (lambda folder: decode(folder, "ogg"), 4),
    "decode flac": (lambda folder: decode(folder, "flac"), 4),
    "decode wav": (lambda folder: decode(folder, "wav"), 4),
    "resample soxr": (lambda folder: resample(folder, "soxr", RATE_HZ), 4),
    "resample kaiser_fast": (lambda folder: resample(folder, "kaiser_fast", 48000), 4),
    "windows": (lambda _: windows(), 4),
    "mel": (lambda _: mel(0), 4),
    "mel, hop 2.496 s": (lambda _: mel(156 * HOP_FRAMES), 4),
    "fold": (lambda _: fold(), 4),
}


def main(stage: str, times: int, folder: Path) -> None:
    work = STAGES[stage][0](folder)
    for _ in range(times):
        work()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
