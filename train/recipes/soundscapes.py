"""Synthetic soundscapes with exact times: held-out clips over backgrounds that were never trained on.

    PYTHONPATH=. python train/recipes/soundscapes.py held_out.csv AUDIO_ROOT BACKGROUNDS OUT

24 files of 5 minutes (FLAC, 32 kHz) and truth.csv: filename, start_s, end_s, primary_label, snr_db. Zero to four birds
sing at once, at -5 to 20 dB over the background. They are no field recordings: figures on them are called synthetic.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import IO, cast

import numpy as np
import soundfile as sf
import soxr

from birdwatch.atomic_write import written_beside
from birdwatch.audio.file import AudioFile
from birdwatch.audio.types import FloatArray
from train.dataset import Recording, read_table
from train.vary import level

RATE_HZ = 32000
FILES = 24
SECONDS = 300
LONGEST_S = 10.0
QUIETEST_DB, LOUDEST_DB = -5.0, 20.0
# A bird begins about every so many seconds: up to four sound at once.
MEAN_PAUSE_S = 6.0
MOST_AT_ONCE = 4
BACKGROUND_RMS = 0.01


def main() -> None:
    """Write the soundscapes into the folder that is named last."""
    table, root, backgrounds, out = map(Path, sys.argv[1:5])
    clips = read_table(table, root)
    sounds = sorted(path for path in backgrounds.iterdir() if path.suffix in (".ogg", ".wav", ".flac"))
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(FILES):
        samples, placed = soundscape(np.random.default_rng((11, number)), clips, sounds)
        name = f"soundscape_{number:02}.flac"
        sf.write(out / name, samples, RATE_HZ)
        rows += [(name, f"{start_s:.3f}", f"{end_s:.3f}", code, f"{db:.1f}") for start_s, end_s, code, db in placed]
    with written_beside(out / "truth.csv") as stream:
        writer = csv.writer(cast("IO[str]", stream), lineterminator="\n")
        writer.writerow(["filename", "start_s", "end_s", "primary_label", "snr_db"])
        writer.writerows(rows)
    print(f"{FILES} soundscapes with {len(rows)} birds")


def soundscape(
    rng: np.random.Generator, clips: list[Recording], sounds: list[Path]
) -> tuple[FloatArray, list[tuple[float, float, str, float]]]:
    """Samples `(n,)`, and what was placed: start and end in s, code, level over the background in dB."""
    samples = background(rng, sounds)
    floor = level(samples, RATE_HZ)
    placed: list[tuple[float, float, str, float]] = []
    start_s = rng.exponential(MEAN_PAUSE_S)
    while start_s < SECONDS - LONGEST_S:
        if sum(end > start_s for _, end, *_ in placed) < MOST_AT_ONCE:
            clip = clips[int(rng.integers(len(clips)))]
            sound = mono(clip.path)[: round(LONGEST_S * RATE_HZ)]
            loud = level(sound, RATE_HZ)
            if loud > 0.0:
                db = float(rng.uniform(QUIETEST_DB, LOUDEST_DB))
                first = round(start_s * RATE_HZ)
                samples[first : first + len(sound)] += np.float32(floor / loud * 10.0 ** (db / 20.0)) * sound
                placed.append((start_s, start_s + len(sound) / RATE_HZ, clip.label, db))
        start_s += rng.exponential(MEAN_PAUSE_S)
    return np.clip(samples, -1.0, 1.0), placed


def background(rng: np.random.Generator, sounds: list[Path]) -> FloatArray:
    """Backgrounds one after another, at one level."""
    parts: list[FloatArray] = []
    while sum(map(len, parts)) < SECONDS * RATE_HZ:
        sound = mono(sounds[int(rng.integers(len(sounds)))])
        loud = level(sound, RATE_HZ)
        if loud > 0.0:
            parts.append((sound * np.float32(BACKGROUND_RMS / loud)).astype(np.float32))
    return np.concatenate(parts)[: SECONDS * RATE_HZ]


def mono(path: Path) -> FloatArray:
    """A whole recording `(n,)` at 32 kHz."""
    audio = AudioFile(path)
    samples = np.concatenate([block.samples for block in audio.blocks()])
    return samples if audio.rate_hz == RATE_HZ else np.asarray(soxr.resample(samples, audio.rate_hz, RATE_HZ))


if __name__ == "__main__":
    main()
