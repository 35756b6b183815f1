"""The tables of the built-in model's pool: what it is trained on, what is held out, what is never touched.

    python train/recipes/pool.py AUDIO WILD OUT

AUDIO is a folder in BirdCLEF's layout with other_birds.csv, WILD one with recordings.csv (role, source, kind,
scientific_name, ...). Written into OUT, with filenames relative to the folder that holds both:

    taxonomy.csv    the species, AUDIO's first
    trained.csv     named recordings to train on
    held_out.csv    a fifth of WILD's recordists, never trained on: thresholds and figures come from them
    outside.csv     WILD's role `test`, another collection, never trained or tuned on
    background/     links to what has no name: soundscapes, weather, insects, engines, speech

Names that BirdNET has under another genus are mapped; a recording whose species the teacher lacks counts as unnamed.
"""

from __future__ import annotations

import csv
import os
import random
import sys
from pathlib import Path
from typing import IO, cast

from birdwatch.api import load_model
from birdwatch.atomic_write import written_beside

# Old names in the published files, and the teacher's.
NEW_NAMES = {
    "Chen caerulescens": "Anser caerulescens",
    "Dendrocopos medius": "Dendrocoptes medius",
    "Dendrocopos minor": "Dryobates minor",
    "Eurynorhynchus pygmeus": "Calidris pygmaea",
    "Grus virgo": "Anthropoides virgo",
    "Limicola falcinellus": "Calidris falcinellus",
    "Phalacrocorax aristotelis": "Gulosus aristotelis",
    "Philomachus pugnax": "Calidris pugnax",
    "Porzana parva": "Zapornia parva",
    "Porzana pusilla": "Zapornia pusilla",
    "Sylvia cantillans": "Curruca cantillans",
    "Sylvia communis": "Curruca communis",
    "Sylvia curruca": "Curruca curruca",
    "Sylvia hortensis": "Curruca hortensis",
    "Sylvia melanocephala": "Curruca melanocephala",
    "Sylvia nisoria": "Curruca nisoria",
    "Tachymarptis melba": "Tachymarptis melba",
    "Tryngites subruficollis": "Calidris subruficollis",
}
COLUMNS = ["primary_label", "secondary_labels", "filename", "collection", "scientific_name", "common_name", "author"]
HELD_OUT_SHARE = 0.2
SEED = 7
Row = dict[str, str]


def main() -> None:
    """Write the tables into the folder that is named last."""
    audio, wild, out = (Path(argument).resolve() for argument in sys.argv[1:4])
    root = Path(os.path.commonpath([audio, wild]))
    out.mkdir(parents=True, exist_ok=True)
    teacher = {label.scientific_name: label for label in load_model("birdnet", provider="cpu").manifest.labels}
    own = rows(audio / "train.csv", audio / "train_audio", root) + rows(
        audio / "other_birds.csv", audio / "other_birds", root
    )
    codes = {row["scientific_name"]: (row["primary_label"], row["common_name"]) for row in own}
    found: dict[str, list[Row]] = {"trained": own, "held_out": [], "outside": []}
    unnamed: list[Path] = []
    held = held_out_groups(read(wild / "recordings.csv"))
    for row in read(wild / "recordings.csv"):
        name = NEW_NAMES.get(row["scientific_name"], row["scientific_name"])
        if name not in teacher:
            if row["role"] == "train":
                unnamed.append(wild / row["filename"])
            continue
        code, common = codes.setdefault(name, (name.replace(" ", "_"), teacher[name].common_name))
        part = "outside" if row["role"] == "test" else "held_out" if group(row) in held else "trained"
        filename = (wild / row["filename"]).relative_to(root).as_posix()
        author = row["recordist"] or row["recording_id"]
        values = [code, "[]", filename, row["source"], name, common, author]
        found[part].append(dict(zip(COLUMNS, values, strict=True)))
    for part, table in found.items():
        write(out / f"{part}.csv", COLUMNS, table)
    seen: dict[str, Row] = {}
    named = sorted(found["trained"][len(own) :] + found["held_out"], key=lambda row: row["scientific_name"])
    for row in read(audio / "taxonomy.csv") + own + named:
        seen.setdefault(row["primary_label"], row)
    write(out / "taxonomy.csv", ["primary_label", "scientific_name", "common_name"], list(seen.values()))
    link(out / "background", unnamed, wild)
    print(", ".join(f"{part} {len(table)}" for part, table in found.items()), f"; {len(seen)} species")


def read(path: Path) -> list[Row]:
    """A table's rows."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def rows(table: Path, folder: Path, root: Path) -> list[Row]:
    """A BirdCLEF table's rows with filenames relative to `root`."""
    return [row | {"filename": (folder / row["filename"]).relative_to(root).as_posix()} for row in read(table)]


def group(row: Row) -> tuple[str, str]:
    """What is held out together: a source's recordist, else the recording."""
    return row["source"], row["recordist"] or row["recording_id"] or row["filename"]


def held_out_groups(recordings: list[Row]) -> set[tuple[str, str]]:
    """A fifth of the groups of those to train on."""
    rng = random.Random(SEED)
    groups = sorted({group(row) for row in recordings if row["role"] == "train"})
    return {item for item in groups if rng.random() < HELD_OUT_SHARE}


def write(path: Path, columns: list[str], table: list[Row]) -> None:
    """Write a table, whole or not at all; other columns are left out."""
    with written_beside(path) as stream:
        writer = csv.DictWriter(
            cast("IO[str]", stream), columns, extrasaction="ignore", restval="", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(table)


def link(folder: Path, paths: list[Path], wild: Path) -> None:
    """Links to audio, under names that are unique."""
    folder.mkdir(exist_ok=True)
    for path in paths:
        place = folder / ("wild_" + path.relative_to(wild).as_posix().replace("/", "_"))
        place.unlink(missing_ok=True)
        place.symlink_to(path)


if __name__ == "__main__":
    main()
