from __future__ import annotations

import pytest

from birdwatch.errors import ConfigError
from birdwatch.evaluation.class_names import ClassNames

NAMES = ClassNames.of(
    [
        ("gretit1", "Parus major", "Great Tit"),
        ("blutit", "Cyanistes caeruleus", "Blue Tit"),
        ("a", "", "Wagtail"),
        ("b", "", "Wagtail"),
    ],
    complete=True,
)


@pytest.mark.parametrize(
    "label",
    ["gretit1", "GRETIT1", "Parus major", "parus_major", "great tit", "Parus major_Great Tit", "Parus major_Kohlmeise"],
)
def test_codes_names_and_birdnets_pairs_mean_a_class(label):
    assert NAMES.resolve(label) == "gretit1"


def test_a_typo_means_no_class_and_the_nearest_name_is_suggested():
    assert NAMES.resolve("Greet Tit") is None
    assert NAMES.suggestions("Greet Tit")[0] == "Great Tit"
    assert NAMES.suggestions("Chainsaw") == []
    longer = ClassNames.of([("blutit", "", "Eurasian Blue Tit")], complete=True)
    assert longer.suggestions("Blue Tit") == ["Eurasian Blue Tit", "blutit"]


def test_a_name_of_two_classes_is_refused():
    with pytest.raises(ConfigError, match=r"'wagtail' is the name of 2 classes \(a, b\)"):
        NAMES.resolve("wagtail")
