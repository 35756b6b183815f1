"""Label files as they are found in the wild, and the ones that are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from birdwatch.convert.label_files import read_labels
from birdwatch.errors import ConfigError
from birdwatch.model.manifest import Label

TIT, ROBIN = Label("gretit1", "Parus major", "Great Tit"), Label("eurrob1", "Erithacus rubecula", "European Robin")
NAMED_TIT, NAMED_ROBIN = Label("Parus_major", "Parus major"), Label("Erithacus_rubecula", "Erithacus rubecula")

CSV = """code,scientific_name,common_name
gretit1,Parus major,Great Tit
eurrob1,Erithacus rubecula,European Robin
"""
OTHER_CSV = """Common Name,primary_label,Scientific Name,class
Great Tit,gretit1,Parus major,Aves
"European Robin",eurrob1,Erithacus rubecula,Aves
"""
BIRDNET = """Parus major_Great Tit
Erithacus rubecula_European Robin
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CSV, [TIT, ROBIN]),
        (OTHER_CSV, [TIT, ROBIN]),
        (CSV.replace(",", ";"), [TIT, ROBIN]),
        (CSV.replace(",", "\t"), [TIT, ROBIN]),
        (BIRDNET, [replace(NAMED_TIT, common_name="Great Tit"), replace(NAMED_ROBIN, common_name="European Robin")]),
        ("inat2024_fsd50k\nParus major\nDog bark\n", [NAMED_TIT, Label("Dog_bark", "Dog bark")]),
        ("\ufeffgretit1\r\n\r\neurrob1\r\n", [Label("gretit1"), Label("eurrob1")]),
        ("call_type\nsong_a\n", [Label("call_type"), Label("song_a")]),
        ("species\nParus major\nErithacus rubecula\n", [NAMED_TIT, NAMED_ROBIN]),
    ],
)
def test_forms(tmp_path: Path, text: str, expected: list[Label]) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8", newline="")
    assert list(read_labels(path, 2)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\nb\nc\nd\n", "2 classes, .* has 4 lines"),
        ("a\n", "2 classes, .* has 1 lines"),
        ("code,common_name\n,\nx,y\n", "class 1 has neither"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        read_labels(path, 2)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_labels(tmp_path / "none.csv", 2)
