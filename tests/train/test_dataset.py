import json
from pathlib import Path

import pytest

from birdwatch.errors import ConfigError
from birdwatch.model.manifest import Label
from train.dataset import (
    Recording,
    labels_of,
    read_folder,
    read_table,
    read_taxonomy,
    read_unlabelled,
    with_codes,
)


def test_kaggles_table_is_read_with_its_lists_in_strings(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(
        "primary_label,secondary_labels,type,filename,author,rating\n"
        "1139490,\"['']\",[''],1139490/CSA36385.ogg,Fabio A. Sarria-S,0.0\n"
        "21038,\"['65448', '22976']\",['song'],21038/iNat1.ogg,,5\n"
        'compau,[],[],compau/XC1.ogg," Zoë  ",3\n',
        "utf-8",
    )
    found = read_table(tmp_path / "train.csv", tmp_path / "audio")
    assert found[0] == Recording(
        "1139490/CSA36385.ogg", tmp_path / "audio/1139490/CSA36385.ogg", "1139490", (), "Fabio A. Sarria-S"
    )
    assert found[1].secondary == ("65448", "22976")
    assert found[1].author == ""
    assert found[2].author == "Zoë"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename\na.ogg\n", r"lacks the columns \['primary_label'\]"),
        ("primary_label,filename\n", "has no rows"),
        ("primary_label,filename\na,a.ogg\nb,a.ogg\n", "line 3: a.ogg is already on line 2"),
        ("primary_label,filename,secondary_labels\na,a.ogg,__import__('os')\n", "expected a list such as"),
        ("primary_label,filename,secondary_labels\na,a.ogg,\"{'b'}\"\n", "expected a list such as"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "train.csv").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message):
        read_table(tmp_path / "train.csv", tmp_path)


def test_missing_and_binary_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="could not be read"):
        read_table(tmp_path / "none.csv", tmp_path)
    (tmp_path / "song.csv").write_bytes(b"OggS\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="not a csv table"):
        read_table(tmp_path / "song.csv", tmp_path)


def test_the_taxonomy_gives_the_classes_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "taxonomy.csv").write_text("primary_label,scientific_name,common_name\nb,Beta avis,B\na,,\n", "utf-8")
    assert read_taxonomy(tmp_path / "taxonomy.csv") == (Label("b", "Beta avis", "B"), Label("a"))
    found = [Recording("a/1.ogg", Path(), "a"), Recording("z/1.ogg", Path(), "z")]
    with pytest.raises(ConfigError, match="lacks 1 labels of the recordings: z"):
        labels_of(found, str(tmp_path / "taxonomy.csv"))
    assert labels_of(found, "") == (Label("a"), Label("z"))


def test_a_folder_with_one_sub_folder_a_class_is_a_data_set(tmp_path: Path) -> None:
    for name in ("wren/1.ogg", "wren/deep/2.WAV", "robin/1.mp3", "robin/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = read_folder(tmp_path)
    assert [(r.filename, r.label) for r in found] == [
        ("robin/1.mp3", "robin"),
        ("wren/1.ogg", "wren"),
        ("wren/deep/2.WAV", "wren"),
    ]
    assert {r.label for r in read_unlabelled(tmp_path)} == {""}
    (tmp_path / "stray.wav").touch()
    with pytest.raises(ConfigError, match=r"stray.wav lies in no class's folder"):
        read_folder(tmp_path)
    with pytest.raises(ConfigError, match="no folder"):
        read_folder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no audio"):
        read_folder(tmp_path / "empty")


def test_file_names_without_a_folder_are_looked_for_under_their_label(tmp_path: Path) -> None:
    (tmp_path / "acafly").mkdir()
    (tmp_path / "acafly" / "XC1.ogg").touch()
    (tmp_path / "XC2.ogg").touch()
    (tmp_path / "t.csv").write_text("primary_label,filename\nacafly,XC1.ogg\nacafly,XC2.ogg\n")
    found = read_table(tmp_path / "t.csv", tmp_path)
    assert [r.path.relative_to(tmp_path).as_posix() for r in found] == ["acafly/XC1.ogg", "XC2.ogg"]


def entry(number: int, species: str, **more: object) -> dict[str, object]:
    genus, epithet = species.split()
    return {"id": str(number), "gen": genus, "sp": epithet, "rec": " Zoë ", "also": [], **more}


def test_xeno_cantos_answers_describe_its_files(tmp_path: Path) -> None:
    audio, pages = tmp_path / "audio", tmp_path / "metadata" / "grp_birds"
    for name in ("Wren/XC11.mp3", "Wren/12 - Wren - Troglodytes troglodytes.ogg", "Robin/13.mp3", "Robin/notes.wav"):
        (audio / name).parent.mkdir(parents=True, exist_ok=True)
        (audio / name).touch()
    pages.mkdir(parents=True)
    wren, robin = "Troglodytes troglodytes", "Erithacus rubecula"
    first = [entry(11, wren), entry(12, wren, also=[robin, "", "Parus major"], rec=None)]
    (pages / "page1.json").write_text(json.dumps({"numRecordings": "4", "recordings": first}))
    second = [entry(13, robin), entry(14, robin)]
    (pages / "page2.json").write_text(json.dumps({"recordings": second}))
    found = read_table(tmp_path / "metadata", audio)
    long = "Wren/12 - Wren - Troglodytes troglodytes.ogg"
    assert found == [
        Recording("Wren/XC11.mp3", audio / "Wren/XC11.mp3", wren, (), "Zoë"),
        Recording(long, audio / long, wren, (robin, "Parus major"), ""),
        Recording("Robin/13.mp3", audio / "Robin/13.mp3", robin, (), "Zoë"),
    ], "XC14 was not downloaded, and no page describes notes.wav"
    assert read_table(pages / "page1.json", audio) == found[:2]
    coded = with_codes(found, (Label("winwre4", wren), Label("eurrob1", robin), Label("gretit1")))
    assert [item.label for item in coded] == ["winwre4", "winwre4", "eurrob1"]
    assert coded[1].secondary == ("eurrob1", "Parus major")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a response of xeno-canto"),
        ('{"error": "query"}', "is not a response of xeno-canto"),
        ('{"recordings": [{"id": "1"}]}', "is not a response of xeno-canto"),
        ('{"recordings": []}', r"describes no file under .*named XC123\.mp3"),
    ],
)
def test_answers_that_describe_nothing_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "XC1.ogg").touch()
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_table(tmp_path / "a.json", tmp_path)
