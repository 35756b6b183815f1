"""Sounds that are no birds and need no download, to count false alarms on: silence, noises, a hum, synthetic speech.

Speech is made with espeak-ng (`apt install espeak-ng`), which reads the project's licence in nine voices; without it
there is none, and the card has no row for it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile as sf

RATE_HZ = 32000
SECONDS = 60
VOICES = ("en-gb", "en-us", "de", "fr", "es", "it", "nl", "sv", "ru")


def main() -> None:
    """Write the sounds into the folder that is named."""
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(1)
    frames = SECONDS * RATE_HZ
    time_s = np.arange(frames) / RATE_HZ
    white = rng.normal(0.0, 0.1, frames)
    # Pink and brown noise: the power falls with the frequency, and with its square.
    spectrum, hz = np.fft.rfft(white), np.maximum(np.fft.rfftfreq(frames, 1 / RATE_HZ), 20.0)
    sounds = {
        "silence_digital": np.zeros(frames),
        "silence_dither": rng.integers(-1, 2, frames) / 32768.0,
        "noise_white": white,
        "noise_pink": np.fft.irfft(spectrum / np.sqrt(hz / 20.0), frames),
        "noise_brown": np.fft.irfft(spectrum / (hz / 20.0), frames),
        "hum_50Hz": sum(0.2 / k * np.sin(2 * np.pi * 50 * k * time_s) for k in range(1, 20)) + 0.01 * white,
        "tone_1kHz": 0.3 * np.sin(2 * np.pi * 1000 * time_s),
    }
    for name, samples in sounds.items():
        sf.write(folder / f"{name}.wav", samples, RATE_HZ)
    if shutil.which("espeak-ng") is None:
        print("no espeak-ng here: no synthetic speech", file=sys.stderr)
        return
    licence = Path(__file__).resolve().parents[2] / "LICENSE"
    for voice in VOICES:
        command = ["espeak-ng", "-v", voice, "-f", str(licence), "-w", str(folder / f"speech_{voice}.wav")]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
