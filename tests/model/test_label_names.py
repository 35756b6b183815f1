"""Labels in other languages: found by name or path, read, and put in the manifest."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import manifest

from birdwatch.errors import ConfigError
from birdwatch.model.label_names import find_locale, read_locale, translate, untranslated


def test_found_beside_the_model_or_as_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "locales" / "birdnet"
    folder.mkdir(parents=True)
    for language in ("de", "pt_BR"):
        (folder / f"{language}.txt").write_text("Parus major_x")
    model = tmp_path / "birdnet.onnx"
    assert find_locale("de", model) == folder / "de.txt"
    assert find_locale("pt_br", model) == folder / "pt_BR.txt"
    assert find_locale("mine.txt", model) == Path("mine.txt")
    with pytest.raises(ConfigError, match="no labels in 'xx' \\(it has de, pt_br\\)"):
        find_locale("xx", model)
    with pytest.raises(ConfigError, match="it came with none"):
        find_locale("de", tmp_path / "other.onnx")


@pytest.mark.parametrize(
    "text",
    [
        "Parus major_Kohlmeise\nErithacus rubecula_Rotkehlchen\n",
        "scientific_name,common_name\nParus major,Kohlmeise\nErithacus rubecula,Rotkehlchen\n",
        '"scientific_name","common_name"\n"Parus major","Kohlmeise"\n"Erithacus rubecula","Rotkehlchen"\n',
        "scientific_name;common_name\nParus major;Kohlmeise\nErithacus rubecula;Rotkehlchen\n",
        "common_name,code,scientific_name\nKohlmeise,x,Parus major\nRotkehlchen,y,Erithacus rubecula\n",
    ],
)
def test_read_and_put_in_the_manifest(tmp_path: Path, text: str) -> None:
    path = tmp_path / "de.txt"
    path.write_text(text, encoding="utf-8")
    names = read_locale(path)
    assert names == {"Parus major": "Kohlmeise", "Erithacus rubecula": "Rotkehlchen"}
    changed = translate(manifest(), names)
    assert [label.common_name for label in changed.labels] == ["Kohlmeise", "Rotkehlchen", "Eurasian Blackbird"]
    assert changed.codes == manifest().codes
    assert untranslated(manifest(), names) == 1


def test_names_of_none_of_the_species_are_refused() -> None:
    with pytest.raises(ConfigError, match="hold none of the species of tiny"):
        translate(manifest(), {"Corvus corax": "Kolkrabe"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [("Parus major_Kohlmeise\nKohlmeise\n", "line 2: 'Kohlmeise' is not"), ("\n", "name no species")],
)
def test_what_is_no_label_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "de.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        read_locale(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_locale(tmp_path / "none.txt")
