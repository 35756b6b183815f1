"""How well speech is blanked: speech mixed into other sound at several levels, and other sound alone.

    python benchmarks/privacy.py --speech FOLDER --other FOLDER [--minutes 10]

Speech are recordings of people without pauses longer than a second; other is birds, rain and wind without people.
Seconds of speech are those that hold at least a tenth of the speech recording's mean power.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from birdwatch.audio.file import AUDIO_SUFFIXES, AudioFile
from birdwatch.audio.resample import Resampler
from birdwatch.audio.types import AudioBlock, FloatArray
from birdwatch.live.privacy import SpeechGate
from birdwatch.model.voice_activity import VAD_RATE_HZ, VoiceActivity


def load(folder: Path, seconds: int) -> FloatArray:
    """All recordings below `folder` one after the other, at 16 kHz, each scaled to the same power."""
    parts: list[FloatArray] = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES):
        audio = AudioFile(path)
        resampler = Resampler(audio.rate_hz, VAD_RATE_HZ)
        blocks = [out for block in audio.blocks() for out in resampler.push(block)] + resampler.finish()
        samples = np.concatenate([block.samples for block in blocks])
        power = float(np.mean(np.square(samples, dtype=np.float64)))
        if power > 0:
            parts.append((samples * np.float32(0.05 / power**0.5)).astype(np.float32))
        if sum(map(len, parts)) >= seconds * VAD_RATE_HZ:
            break
    return np.concatenate(parts)[: seconds * VAD_RATE_HZ]


def blanked(samples: FloatArray) -> FloatArray:
    """Share of each second that the gate replaces, `(seconds,)`."""
    gate = SpeechGate(VoiceActivity())
    out: list[AudioBlock] = []
    for begin in range(0, len(samples), 400):
        out += gate.push(AudioBlock(samples[begin : begin + 400], begin, VAD_RATE_HZ))
    out += gate.finish()
    zero = np.concatenate([block.samples for block in out]) == 0
    seconds = len(zero) // VAD_RATE_HZ
    return zero[: seconds * VAD_RATE_HZ].reshape(seconds, VAD_RATE_HZ).mean(axis=1).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--other", type=Path, required=True)
    parser.add_argument("--minutes", type=int, default=10)
    arguments = parser.parse_args()
    other = load(arguments.other, arguments.minutes * 60)
    speech = np.resize(load(arguments.speech, arguments.minutes * 60), len(other))
    seconds = len(other) // VAD_RATE_HZ
    power = np.square(speech[: seconds * VAD_RATE_HZ].reshape(seconds, VAD_RATE_HZ)).mean(axis=1)
    spoken = power >= 0.1 * power.mean()
    print("| speech to other | speech seconds blanked |\n| --- | --- |")
    for level_db in (20, 10, 0, -5, -10):
        share = blanked(other + speech * np.float32(10 ** (level_db / 20)))
        print(f"| {level_db:+d} dB | {float((share[spoken] > 0.99).mean()):.3f} |")
    print(f"\nother sound lost without speech: {float(blanked(other).mean()):.4f} of {seconds} s")


if __name__ == "__main__":
    main()
