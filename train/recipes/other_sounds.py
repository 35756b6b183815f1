"""Sounds that are no birds and need no download, to count false alarms on: about three hours.

Silence, noises, gusts, engines, tones and insect-like trills are made by code. Speech is made with espeak-ng
(`apt install espeak-ng`), which reads the project's documentation in nine voices at two speeds; without it there is
none, and the card has no row for it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf

RATE_HZ = 32000
SECONDS = 300
VOICES = ("en-gb", "en-us", "de", "fr", "es", "it", "nl", "sv", "ru")
WORDS_A_MINUTE = (130, 190)
# So many characters take about five minutes.
SPEECH_CHARACTERS = 4500
Samples = npt.NDArray[np.float64]


def main() -> None:
    """Write the sounds into the folder that is named."""
    folder = Path(sys.argv[1])
    for name, samples in made_by_code(np.random.default_rng(1)).items():
        sf.write(folder / f"{name}.flac", samples, RATE_HZ)
    if shutil.which("espeak-ng") is None:
        print("no espeak-ng here: no synthetic speech", file=sys.stderr)
        return
    root = Path(__file__).resolve().parents[2]
    text = "\n".join((root / name).read_text("utf-8") for name in ("LICENSE", "CONTRIBUTING.md", "README.md"))
    for voice in VOICES:
        for speed in WORDS_A_MINUTE:
            out = folder / f"speech_{voice}_{speed}.wav"
            command = ["espeak-ng", "-v", voice, "-s", str(speed), "-w", str(out), text[:SPEECH_CHARACTERS]]
            subprocess.run(command, check=True)


def made_by_code(rng: np.random.Generator) -> dict[str, Samples]:
    """Five minutes `(n,)` of each sound; the kind is the name up to the underscore."""
    frames = SECONDS * RATE_HZ
    time_s = np.arange(frames) / RATE_HZ
    sounds: dict[str, Samples] = {
        "silence_digital": np.zeros(frames),
        "silence_dither": rng.integers(-1, 2, frames) / 32768.0,
        "tone_1kHz": 0.3 * np.sin(2 * np.pi * 1000 * time_s),
        "tone_sweep": 0.2 * np.sin(2 * np.pi * (3000 * time_s + 1000 / 0.1 * np.sin(0.1 * time_s))),
    }
    # Pink and brown noise: the power falls with the frequency, and with its square.
    for color, slope in (("white", 0.0), ("pink", 0.5), ("brown", 1.0)):
        noise = coloured(rng, frames, slope)
        sounds[f"noise_{color}"] = noise
        sounds[f"wind_{color}"] = noise * (0.1 + gusts(rng, frames))
    for base_hz in (50.0, 33.0, 87.0):
        drift = 2 * np.pi * base_hz * np.cumsum(1.0 + 0.05 * gusts(rng, frames)) / RATE_HZ
        engine = np.asarray(sum(0.2 / k * np.sin(k * drift) for k in range(1, 20)))
        sounds[f"engine_{base_hz:.0f}Hz"] = 0.5 * engine + 0.02 * coloured(rng, frames, 0.5)
    for carrier_hz, trill_hz in ((3200.0, 28.0), (4500.0, 45.0), (5800.0, 15.0), (7600.0, 60.0)):
        pulses = np.clip(np.sin(2 * np.pi * trill_hz * time_s), 0.0, 1.0) ** 2
        chirps = (np.sin(2 * np.pi * 0.7 * time_s) > 0.2).astype(np.float64)
        trill = 0.2 * pulses * chirps * np.sin(2 * np.pi * carrier_hz * time_s)
        sounds[f"insect-like_{carrier_hz:.0f}Hz"] = trill + 0.005 * coloured(rng, frames, 0.5)
    return sounds


def coloured(rng: np.random.Generator, frames: int, slope: float) -> Samples:
    """Noise `(frames,)` whose amplitude falls with the frequency to the power `slope`, peak 0.5."""
    spectrum = np.fft.rfft(rng.normal(0.0, 1.0, frames))
    hz = np.maximum(np.fft.rfftfreq(frames, 1 / RATE_HZ), 20.0)
    noise = np.fft.irfft(spectrum / (hz / 20.0) ** slope, frames)
    return np.asarray(0.5 * noise / np.abs(noise).max())


def gusts(rng: np.random.Generator, frames: int) -> Samples:
    """A slow random level `(frames,)`, 0 to 1."""
    points = rng.random(frames // RATE_HZ // 2 + 2)
    return np.interp(np.arange(frames) / (2 * RATE_HZ), np.arange(len(points)), points)


if __name__ == "__main__":
    main()
