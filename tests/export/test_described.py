from __future__ import annotations

import json
from pathlib import Path

import pytest

from birdwatch.errors import BirdwatchError
from export.described import described, labels_to_keep, read_fields
from export.source import Source


def test_fields_are_set_and_provenance_is_added_to(source: Source) -> None:
    fields = {
        "name": "garden",
        "thresholds": {"bird3": 0.7},
        "provenance": {"recordists": ["A", "B"], "git_commit": None},
    }
    manifest = described(source, fields).manifest
    assert (manifest.name, manifest.thresholds) == ("garden", {"bird3": 0.7})
    assert manifest.provenance["recordists"] == ["A", "B"]
    assert manifest.provenance["training_data"] == "0123456789abcdef"
    assert "git_commit" not in manifest.provenance
    assert manifest.labels == source.manifest.labels


def test_no_fields_change_nothing(source: Source) -> None:
    assert described(source, {}).manifest == source.manifest


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"thresholds": {"owl": 0.5}}, "thresholds name classes that labels lack: ['owl']"),
        ({"labels": [{"code": "bird1"}]}, "1 labels, the network has 6 outputs"),
        ({"threshold": 2}, "threshold of threshold is 2"),
    ],
)
def test_fields_that_do_not_fit_are_refused(source: Source, fields: dict[str, object], said: str) -> None:
    with pytest.raises(BirdwatchError) as caught:
        described(source, fields)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"input": "waveform"}', "sets ['input']; only name,"),
        ("[]", "holds a JSON list"),
        ("{", "is not JSON"),
    ],
)
def test_files_that_are_no_fields_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(BirdwatchError) as caught:
        read_fields(tmp_path / "card.json")
    assert said in str(caught.value)


def test_fields_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps({"name": "garden"}))
    assert read_fields(tmp_path / "card.json") == {"name": "garden"}
    assert read_fields(None) == {}


def test_labels_to_keep(tmp_path: Path) -> None:
    (tmp_path / "codes.txt").write_text("bird3\n\n bird0 \n")
    assert labels_to_keep(str(tmp_path / "codes.txt")) == ["bird3", "bird0"]
    assert labels_to_keep("71") == 71
    assert labels_to_keep(None) is None
