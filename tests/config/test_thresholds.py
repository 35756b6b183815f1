from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.config.schema import ClassRules, Settings
from birdwatch.config.thresholds import thresholds_digest, with_thresholds
from birdwatch.errors import ConfigError

FILE = """# The garden's station.
station = "garden"   # its name
threshold = 0.6      # for all

# Swifts scream.
[class.comswi]
threshold = 0.8   # needs more
event_off = 0.4

[source.pond]
url = "rtsp://10.0.0.8/1"
threshold = 0.5
"""


def test_values_change_and_the_rest_of_the_file_stays():
    changed = with_thresholds(
        FILE,
        {("threshold",): 0.55, ("class", "comswi", "threshold"): 0.9, ("source", "pond", "threshold"): 0.45},
    )
    expected = FILE.replace("threshold = 0.6 ", "threshold = 0.55 ").replace("0.8   #", "0.9   #")
    assert changed == expected.replace("threshold = 0.5\n", "threshold = 0.45\n")


def test_values_are_added_where_they_belong_and_removed():
    changed = with_thresholds(
        FILE,
        {("threshold",): None, ("class", "comswi", "threshold"): None, ("class", "Turdus merula", "threshold"): 0.25},
    )
    assert tomllib.loads(changed) == {
        "station": "garden",
        "class": {"comswi": {"event_off": 0.4}, "Turdus merula": {"threshold": 0.25}},
        "source": {"pond": {"url": "rtsp://10.0.0.8/1", "threshold": 0.5}},
    }
    assert "# Swifts scream." in changed
    assert with_thresholds("", {("threshold",): 0.5}) == "threshold = 0.5\n"
    # The value of all classes stands before the first table.
    assert with_thresholds("[class.x]\nevent_off = 0.1\n", {("threshold",): 0.5}).startswith("threshold = 0.5\n")


@pytest.mark.parametrize(
    "text",
    ["class.comswi.threshold = 0.8\n", "class = {comswi = {threshold = 0.8}}\n", "[class]\ncomswi.threshold = 0.8\n"],
)
def test_a_form_that_is_not_understood_is_refused(text):
    with pytest.raises(ConfigError, match="only a person can change"):
        with_thresholds(text, {("class", "comswi", "threshold"): 0.9})


_code = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=12)
_value = st.integers(1, 10_000).map(lambda number: number / 10_000)


@given(st.dictionaries(_code, _value, max_size=5), st.dictionaries(_code, _value, max_size=5), _value)
def test_what_is_written_is_read_again(first, second, default):
    text = with_thresholds(FILE, {("class", code, "threshold"): value for code, value in first.items()})
    changes = {("class", code, "threshold"): second.get(code) for code in {*first, *second, "comswi"}}
    text = with_thresholds(text, {**changes, ("threshold",): default})
    found = tomllib.loads(text)
    assert {code: rows["threshold"] for code, rows in found["class"].items() if "threshold" in rows} == second
    assert found["threshold"] == default
    assert found["class"].get("comswi", {}).get("event_off") == 0.4


def test_the_digest_is_that_of_the_thresholds():
    base = Settings(station="x", threshold=0.5)
    same = replace(base, station="y", class_={"comswi": ClassRules(threshold=0.5, event_off=0.3)})
    assert thresholds_digest(base) == thresholds_digest(same)
    others = [replace(base, threshold=None), replace(base, class_={"comswi": ClassRules(threshold=0.6)})]
    assert len({thresholds_digest(one) for one in (base, *others)}) == 3
