"""Whatever a manifest holds, it is a Manifest or one ModelError that says all that is wrong."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import manifest

from birdwatch.errors import ModelError
from birdwatch.model.manifest import Manifest
from birdwatch.model.probe import Probe

GOOD: dict[str, Any] = json.loads(manifest().to_json())


def refused(**changes: Any) -> str:
    with pytest.raises(ModelError) as caught:
        Manifest.from_json(json.dumps({**GOOD, **changes}))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500
    return str(caught.value)


def labels(code: Any) -> list[dict[str, Any]]:
    return [{**GOOD["labels"][0], "code": code}, *GOOD["labels"][1:]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": labels(None)}, "code of label 0 is None, expected text"),
        ({"labels": labels(7)}, "code of label 0 is 7, expected text"),
        ({"labels": labels(["a"])}, "expected text"),
        ({"labels": labels("\ud800")}, "text that UTF-8 can hold"),
        ({"labels": labels("a\0b")}, "control characters"),
        ({"labels": labels("a\nb")}, "control characters"),
        ({"labels": labels("x" * 1000)}, "has 1000 bytes, expected at most 200"),
        ({"labels": labels("")}, "a label has no code"),
        ({"labels": labels(GOOD["labels"][1]["code"])}, "labels repeat"),
        ({"labels": []}, "labels are empty"),
        ({"labels": {}}, "labels are {}, expected a list"),
        ({"labels": None}, "labels are None"),
        ({"labels": ["a"]}, "labels such as 'a'"),
        ({"labels": [{"name": "a"}]}, "expected objects of"),
        ({"thresholds": []}, "thresholds are [], expected an object"),
        ({"thresholds": {GOOD["labels"][0]["code"]: "0.5"}}, "is '0.5', expected 0 to 1"),
        ({"thresholds": {"nobody": 0.5}}, "classes that labels lack: ['nobody']"),
        ({"threshold": None}, "threshold of threshold is None"),
        ({"threshold": float("nan")}, "expected 0 to 1"),
        ({"threshold": True}, "expected 0 to 1"),
        ({"window_frames": 1e11}, "must be whole numbers"),
        ({"window_frames": 10**11}, "are too large"),
        ({"rate_hz": 0}, "must be at least 1"),
        ({"rate_hz": 10**400}, "are too large"),
        ({"rate_hz": "32000"}, "must be whole numbers"),
        ({"frontend": []}, "frontend is [], expected an object"),
        ({"frontend": {**GOOD["frontend"], "n_mels": 10**9}}, "n_mels is 1000000000"),
        ({"frontend": {**GOOD["frontend"], "hop_frames": 0}}, "hop_frames is 0, it must be at least 1"),
        ({"frontend": {**GOOD["frontend"], "fmin_hz": None}}, "fmin_hz is None, expected a number"),
        ({"frontend": {**GOOD["frontend"], "window_frames": 7}}, "frontend takes 7 frames"),
        ({"input": ["mel"]}, "input is ['mel'], expected one of"),
        ({"activation": {}}, "activation is {}, expected one of"),
        ({"name": None}, "name is None, expected text"),
        ({"scores_output": 3}, "scores_output is 3, expected text"),
        ({"provenance": 3}, "provenance is 3"),
        ({"probe": [1]}, "probe is [1]"),
        ({"macs": -1}, "macs is -1"),
        ({"schema": "1"}, "schema is '1'"),
        ({"surprise": 1}, "unknown field 'surprise'"),
    ],
)
def test_each_fault_is_named(changes: dict[str, Any], said: str) -> None:
    assert said in refused(**changes)


def test_all_faults_come_in_one_message() -> None:
    said = refused(labels=labels(None), thresholds=[], rate_hz=0, input="smell", probe=7, surprise=1)
    for part in ("code of label 0", "thresholds are []", "at least 1", "input is 'smell'", "probe is 7", "surprise"):
        assert part in said


def test_a_thousand_faults_of_a_kind_are_counted() -> None:
    assert "and 995 more of the kind" in refused(labels=[{"code": None} for _ in range(1000)])


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, "", "nul", "\0", '"x"', "[]", "null"])
def test_no_text_is_a_traceback(text: str) -> None:
    with pytest.raises(ModelError, match="the manifest is"):
        Manifest.from_json(text)


def test_a_good_one_survives() -> None:
    assert Manifest.from_json(json.dumps(GOOD)) == manifest()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.fuzz
@given(st.dictionaries(st.sampled_from(sorted(GOOD)), anything, min_size=1, max_size=4))
def test_anything_in_any_field_is_a_manifest_or_a_model_error(changes: dict[str, Any]) -> None:
    with contextlib.suppress(ModelError):
        Manifest.from_json(json.dumps({**GOOD, **changes}))


@pytest.mark.fuzz
@given(st.dictionaries(st.sampled_from(sorted(GOOD["frontend"])), anything, min_size=1, max_size=4))
def test_anything_in_the_front_end_too(changes: dict[str, Any]) -> None:
    with contextlib.suppress(ModelError):
        Manifest.from_json(json.dumps({**GOOD, "frontend": {**GOOD["frontend"], **changes}}))


@pytest.mark.fuzz
@given(anything)
def test_anything_in_a_label_too(value: Any) -> None:
    try:
        made = Manifest.from_json(json.dumps({**GOOD, "labels": labels(value)}))
    except ModelError:
        return
    assert made.labels[0].code == value
    value.encode()


HUGE = ["1" + "0" * 400, "-" + "9" * 400, "1e400", "[" * 500 + "]" * 500, '{"gretit1": 1' + "0" * 400 + "}"]


@pytest.mark.parametrize("value", HUGE)
def test_numbers_that_no_float_holds_and_deep_values_are_refused_in_any_field(value: str) -> None:
    good = json.loads(manifest().to_json())
    # Where it comes from may be told in any object, and the probe is checked when it is replayed.
    places = [(name,) for name in good if name not in ("provenance", "probe")] + [
        ("frontend", name) for name in good["frontend"]
    ]
    for place in places:
        marked = json.loads(json.dumps(good))
        holder = marked if len(place) == 1 else marked[place[0]]
        holder[place[-1]] = "HERE"
        with pytest.raises(ModelError) as caught:
            Manifest.from_json(json.dumps(marked).replace('"HERE"', value))
        assert len(str(caught.value)) < 4000, place
    for name in ("scores", "tolerance", "tolerance_log_odds", "sha256"):
        fields = {"scores": [[0.5]], "tolerance": 1, "tolerance_log_odds": 1, "sha256": ""} | {name: json.loads(value)}
        with pytest.raises(ModelError):
            Probe.from_manifest(fields, 1)


def test_a_hundred_thousand_unknown_fields_are_counted() -> None:
    fields = json.loads(manifest().to_json()) | {f"x{number}": 1 for number in range(100_000)}
    with pytest.raises(ModelError, match=r"unknown field 'x0'.*and 99995 more of the kind") as caught:
        Manifest.from_json(json.dumps(fields))
    assert len(str(caught.value)) < 1000
