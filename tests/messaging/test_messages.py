from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sample_messages import NOW_NS, RECORDING, samples, spectrum_message

from birdwatch.audio.types import Gap
from birdwatch.messaging.messages import (
    KINDS,
    Envelope,
    Message,
    Spectrum,
    detection,
    frames,
    gap,
    recording,
    rfc3339,
    spectrum,
    topic,
)
from birdwatch.messaging.schemas import schema
from birdwatch.model.manifest import Label
from birdwatch.scores.types import Detection

ENVELOPE = Envelope(station="garden", source="USB Mic", boot_id="b0")


@pytest.mark.parametrize("message", samples(), ids=lambda m: m.kind)
def test_every_kind_fits_its_schema(message: Message) -> None:
    more = {"subscribers_dropped": 0, "last_seq": 6} if message.kind == "status" else {}
    head, body = frames(message, ENVELOPE, seq=7, sent_ns=10**18, more=more)
    value = json.loads(body)
    Draft202012Validator(schema(message.kind)).validate(value)
    assert head.decode() == f"birdwatch/1/{message.kind}/garden/{value.get('label', '-')}/"
    assert value["sent"] == "2001-09-09T01:46:40.000Z"
    assert set(schema(message.kind)["required"]) <= set(value) <= set(schema(message.kind)["properties"])


def test_samples_show_every_kind() -> None:
    assert {message.kind for message in samples()} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_valid_agree_and_let_fields_be_added(kind: str) -> None:
    Draft202012Validator.check_schema(schema(kind))
    assert schema(kind)["additionalProperties"] is True
    common = ("schema", "station", "source", "boot_id", "seq", "sent", "version")
    assert all(schema(kind)["properties"][name] == schema("gap")["properties"][name] for name in common)
    assert set(common) | {"kind"} <= set(schema(kind)["required"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_refuses_each_missing_field(kind: str) -> None:
    message = next(m for m in samples() if m.kind == kind)
    more = {"subscribers_dropped": 0, "last_seq": 6} if kind == "status" else {}
    value = json.loads(frames(message, ENVELOPE, seq=1, sent_ns=0, more=more)[1])
    validator = Draft202012Validator(schema(kind))
    for name in schema(kind)["required"]:
        assert not validator.is_valid({k: v for k, v in value.items() if k != name}), name


@given(st.integers(0, 4 * 10**18))
def test_times_are_utc_with_whole_milliseconds(time_ns: int) -> None:
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000 // 1000 * 1000)
    text = rfc3339(time_ns)
    assert datetime.fromisoformat(text) == expected
    assert len(text) == len("2025-05-01T04:12:03.250Z")


def test_seconds_come_from_frames_and_not_from_the_time() -> None:
    found = Detection(label=0, score=0.75, threshold=0.5, start_frame=80_000, end_frame=240_000)
    fields = detection(found, Label("houspa"), rate_hz=32_000, start_ns=0, end_ns=5 * 10**9, event_id=None).fields
    assert (fields["start_s"], fields["end_s"], fields["start_frame"]) == (2.5, 7.5, 80_000)


def test_rounding_keeps_a_score_at_its_threshold() -> None:
    score = float(np.float32(0.35))
    fields = detection(
        Detection(0, score, score, 0, 1), Label("a"), rate_hz=1, start_ns=0, end_ns=1, event_id=None
    ).fields
    assert fields["score"] == fields["threshold"] == 0.35


def test_a_recording_lists_what_is_at_or_over_its_threshold() -> None:
    message = next(m for m in samples() if m.kind == "recording")
    assert message.fields["present"] == ["houspa"]
    assert message.fields["scores"] == {"houspa": 0.5, "eurrob1": 0.25}


def test_a_recording_whose_labels_do_not_fit_is_refused() -> None:
    from sample_messages import RECORDING

    with pytest.raises(ValueError):
        recording(RECORDING, ["one"], np.array([0.5], np.float32), start_ns=0, end_ns=1)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_nan_and_infinity_are_never_sent(number: float) -> None:
    message = detection(Detection(0, number, 0.5, 0, 1), Label("a"), rate_hz=1, start_ns=0, end_ns=1, event_id=None)
    with pytest.raises(ValueError):
        frames(message, ENVELOPE, seq=1, sent_ns=0)


def test_a_slash_in_a_label_does_not_split_the_topic() -> None:
    assert topic("event", "garden", "a/b%") == "birdwatch/1/event/garden/a%2Fb%25/"
    assert topic("event", "garden", "a/b").count("/") == 5


def test_a_prefix_never_matches_a_longer_name() -> None:
    assert not topic("event", "garden2").startswith("birdwatch/1/event/garden/")


def test_a_gap_counts_its_frames_at_the_devices_rate() -> None:
    assert gap(Gap(0, 24_000, "overflow"), rate_hz=48_000, start_ns=0).fields["seconds"] == 0.5


def test_a_species_filter_is_said_and_what_it_holds_back_is_left_out() -> None:
    limits = np.array([0.5, 0.0], np.float32)
    message = recording(RECORDING, ["houspa", "eurrob1"], limits, start_ns=NOW_NS, end_ns=NOW_NS, allowed=[True, False])
    envelope = replace(ENVELOPE, filter="1 of 2 species, by garden.txt")
    _, body = frames(message, envelope, seq=1, sent_ns=NOW_NS)
    value = json.loads(body)
    assert (value["filter"], value["scores"], value["present"]) == (
        "1 of 2 species, by garden.txt",
        {"houspa": 0.5},
        ["houspa"],
    )
    Draft202012Validator(schema("recording")).validate(value)
    assert json.loads(frames(message, ENVELOPE, seq=1, sent_ns=NOW_NS)[1])["filter"] is None


def test_a_spectrum_fits_its_schema_has_no_number_and_gives_its_levels_back() -> None:
    head, body = frames(spectrum_message(), ENVELOPE, seq=None, sent_ns=NOW_NS)
    value = json.loads(body)
    Draft202012Validator.check_schema(schema("spectrum"))
    Draft202012Validator(schema("spectrum")).validate(value)
    assert head == b"birdwatch/1/spectrum/garden/-/"
    assert "seq" not in value
    assert set(schema("spectrum")["required"]) <= set(value) <= set(schema("spectrum")["properties"])
    levels = np.frombuffer(base64.b64decode(value["levels"]), np.uint8).reshape(value["columns"], value["bands"])
    assert np.array_equal(levels, np.arange(640).astype(np.uint8).reshape(5, 128))
    assert (value["column_s"], value["start_s"]) == (0.1, 1.0)


@pytest.mark.parametrize("levels", [np.zeros((2, 3)), np.zeros(3, np.uint8), np.zeros((0, 128), np.uint8)])
def test_levels_of_another_form_are_refused(levels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(columns, bands\)"):
        spectrum(Spectrum(levels, 0, 3_200, 32_000, 50.0, 14_000.0, -100.0, 0.0), start_ns=0)
