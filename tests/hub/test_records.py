from __future__ import annotations

import json

import pytest
from hubs import START_MS, body, event, iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_messages import samples

from birdwatch.hub.records import Event, Gap, Status, UnreadableError, parse
from birdwatch.messaging.messages import Envelope, frames

NOW_MS = START_MS + 10**9


def test_every_kind_that_a_station_sends_is_read():
    for message in samples():
        sent = frames(message, Envelope("garden", "mic", "b0"), seq=7, sent_ns=START_MS * 10**6)[1]
        record = parse(sent, now_ms=NOW_MS)
        assert (record.kind, record.seq, record.station, record.fault) == (message.kind, 7, "garden", None)
        assert record.sent_ms == START_MS
        assert record.body is not None


def test_an_event_is_read_to_the_millisecond():
    record = parse(body("event", 3, dict(event(2).fields)), now_ms=NOW_MS)
    assert record.body == Event(
        "houspa", "Houspa", "Genus houspa", START_MS + 120_000, START_MS + 125_000, 0.9, "b0-2", False
    )


def test_a_kind_that_is_not_known_keeps_its_number():
    record = parse(body("moonphase", 3), now_ms=NOW_MS)
    assert (record.seq, record.body, record.fault) == (3, None, None)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"start": "1970-01-01T00:00:00.000Z"}, "from 2000 until now"),
        ({"start": "9999-01-01T00:00:00.000Z"}, "from 2000 until now"),
        ({"start": "2026-05-01T04:00:00"}, "expected a time"),
        ({"start": 5}, "expected text"),
        ({"end": "2020-05-01T04:00:00Z"}, "within a day"),
        ({"max_score": "0.5"}, "expected a number of 0 to 1"),
        ({"max_score": 1.5}, "expected a number of 0 to 1"),
        ({"max_score": True}, "expected a number of 0 to 1"),
        ({"label": "x" * 101}, "100 characters"),
        ({"label": ""}, "expected text"),
        ({"label": "a\0b"}, "a database can hold"),
        ({"common_name": "x" * 201}, "200 characters"),
        ({"event_id": None}, "expected text"),
    ],
)
def test_a_wrong_field_is_said_and_the_number_still_counts(change, fault):
    record = parse(body("event", 3, dict(event(0).fields), **change), now_ms=NOW_MS)
    assert (record.seq, record.body) == (3, None)
    assert record.fault is not None
    assert fault in record.fault


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"schema": "birdwatch/2"}',
        body("event", 0),
        body("event", -1),
        body("event", 2**60),
        body("event", 1, station="x" * 300),
        body("event", 1, boot_id=""),
        json.dumps({"schema": "birdwatch/1", "seq": 1.5}).encode(),
        b'{"schema": "birdwatch/1", "seq": NaN}',
        b" " * 1_000_001,
    ],
)
def test_what_is_no_message_is_refused(rubbish):
    with pytest.raises(UnreadableError):
        parse(rubbish, now_ms=NOW_MS)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@pytest.mark.slow
@pytest.mark.fuzz
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(["event", "detection", "gap", "recording", "status"]),
    st.dictionaries(
        st.sampled_from(["label", "start", "end", "score", "seconds", "latency_ms", "present", "windows", "sent"]),
        _json,
    ),
)
def test_nothing_else_than_its_own_error_is_raised(kind, change):
    sample = next(message for message in samples() if message.kind == kind)
    text = {**json.loads(body(kind, 1)), **sample.fields, **change}
    try:
        record = parse(json.dumps(text, allow_nan=True).encode(), now_ms=NOW_MS)
    except UnreadableError:
        return
    assert isinstance(record.body, Event | Gap | Status) or record.fault is None or record.fault


def test_iso_is_read_as_it_is_written():
    assert parse(body("x", 1, sent=iso(START_MS)), now_ms=NOW_MS).sent_ms == START_MS
