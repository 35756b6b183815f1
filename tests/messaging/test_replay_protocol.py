from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.messaging.clip_folder import ClipChunk
from birdwatch.messaging.message_pages import Entry, Page
from birdwatch.messaging.replay_protocol import (
    ClipQuestion,
    MessagesQuestion,
    RefusedError,
    chunk_of,
    clip_frames,
    error_frames,
    page_frames,
    page_of,
    parse_question,
    question_bytes,
)

counts = st.integers(0, 2**63 - 1)
texts = st.text(st.characters(codec="utf-8"))
questions = st.builds(MessagesQuestion, counts, st.none() | texts, texts) | st.builds(ClipQuestion, texts, counts)


@given(questions)
def test_a_question_survives_the_wire(question: MessagesQuestion | ClipQuestion) -> None:
    assert parse_question(question_bytes(question)) == question


@given(st.lists(st.tuples(texts, counts, st.binary())), st.none() | texts, counts, st.booleans(), st.none() | counts)
def test_a_page_survives_the_wire(
    rows: list[tuple[str, int, bytes]], boot_id: str | None, seq: int, more: bool, missing: int | None
) -> None:
    entries = tuple(
        Entry(boot, number, topic, json.dumps({"boot_id": boot, "seq": number}).encode())
        for boot, number, topic in rows
    )
    page = Page(entries, boot_id, seq, more, missing)
    assert page_of(page_frames(page)) == page


@given(texts, texts, counts, counts, st.binary())
def test_a_chunk_survives_the_wire(event_id: str, name: str, size: int, offset: int, content: bytes) -> None:
    chunk = ClipChunk(event_id, name, size, offset, content)
    assert chunk_of(clip_frames(chunk)) == chunk


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["since", "clip", "offset", "topic"]) | st.text(), inner)
    ),
)
strange = st.binary() | json_values.map(lambda value: json.dumps(value).encode())


@pytest.mark.slow
@pytest.mark.fuzz
@given(strange)
def test_no_frame_of_a_stranger_raises_anything_but_value_error(frame: bytes) -> None:
    try:
        question = parse_question(frame)
    except ValueError:
        return
    assert parse_question(question_bytes(question)) == question


@pytest.mark.slow
@pytest.mark.fuzz
@given(st.lists(strange, min_size=1, max_size=4))
def test_no_answer_of_a_stranger_raises_anything_but_what_is_documented(frames: list[bytes]) -> None:
    for read in (page_of, chunk_of):
        with contextlib.suppress(ValueError, RefusedError):
            read(frames)


@pytest.mark.parametrize(
    "frame", [b"[" * 4000, b'{"a":' * 4000, b'{"topic": "\\ud800"}', b'{"clip": "\\ud800"}', b"1" * 4096]
)
def test_the_absurd_is_refused_by_name(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected|nested"):
        parse_question(frame)


def test_an_error_is_distinguished_from_rubbish() -> None:
    with pytest.raises(RefusedError, match="no clip"):
        chunk_of(error_frames("clip", "there is no clip of event 'x'"))
    with pytest.raises(ValueError, match="kind is 'replay', expected 'clip'"):
        chunk_of(page_frames(Page((), None, 0, False, 0)))
