"""The server's end of ZMTP, fed bytes; real peers of libzmq are in test_publisher and test_replay."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import GREETING, command, long_frame, ready, subscribe

from birdwatch.messaging.zmtp import (
    MAX_FRAME_BYTES,
    MAX_PARTS,
    Connection,
    NullMechanism,
    ProtocolError,
    Ready,
    Received,
    Subscription,
)


def connected(socket_type: bytes = b"XPUB") -> Connection:
    connection = Connection(socket_type, NullMechanism())
    list(connection.receive(GREETING + ready(b"SUB" if socket_type == b"XPUB" else b"DEALER")))
    assert connection.ready
    connection.output.clear()
    return connection


SESSION = (
    GREETING
    + ready(b"SUB")
    + subscribe(b"birdwatch/1/")
    + b"\x00\x04\x01abc"
    + command(b"\x06CANCELabc")
    + command(b"\x04PING\x00\x0ahello")
    + command(b"\x07UNKNOWN")
    + b"\x00\x02\x00x"
)
EVENTS = [
    Ready(),
    Subscription(b"birdwatch/1/", True),
    Subscription(b"abc", True),
    Subscription(b"abc", False),
    Subscription(b"x", False),
]


@pytest.mark.fuzz
@given(st.lists(st.integers(0, len(SESSION)), max_size=20))
def test_a_session_means_the_same_however_it_is_cut(cuts: list[int]) -> None:
    connection, events = Connection(b"XPUB", NullMechanism()), []
    places = [0, *sorted(cuts), len(SESSION)]
    for start, end in itertools.pairwise(places):
        events += list(connection.receive(SESSION[start:end]))
    assert events == EVENTS
    assert connection.minor == 1
    # Greeting, READY, and what came with the ping.
    assert bytes(connection.output).endswith(command(b"\x04PONGhello"))


@pytest.mark.fuzz
@given(st.binary(max_size=300), st.integers(0, len(SESSION)))
def test_rubbish_is_a_protocol_error_or_nothing(rubbish: bytes, at: int) -> None:
    connection = Connection(b"XPUB", NullMechanism())
    with contextlib.suppress(ProtocolError):
        list(connection.receive(SESSION[:at] + rubbish + SESSION[at:]))
    assert len(connection._input) <= len(SESSION) + len(rubbish)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00",  # ZMTP 1
        b"\xff" + bytes(8) + b"\x7f\x01",  # ZMTP 2
        GREETING.replace(b"NULL", b"PLAI"),
        GREETING + ready(b"REQ"),
        GREETING + ready(b"PUB"),
        GREETING + command(b"\x05READY"),
        GREETING + command(b"\x05READY\xff"),
        GREETING + command(b"\x05READY\x0bSocket-Type\xff\xff\xff\xffSUB"),
        GREETING + command(b"\x05HELLO"),
        GREETING + long_frame(bytes(5000), 4),
        GREETING + ready(b"SUB") + long_frame(bytes(MAX_FRAME_BYTES + 100)),
        GREETING + ready(b"SUB") + b"\x02\xff\xff\xff\xff\xff\xff\xff\xff",
        GREETING + ready(b"SUB") + b"\x08\x00",
        GREETING + ready(b"SUB") + b"\x01\x00" * (MAX_PARTS + 1),
        GREETING + ready(b"SUB") + long_frame(bytes(3000), 1) * 2,
    ],
)
def test_what_breaks_the_protocol_or_a_limit_ends_the_connection(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Connection(b"XPUB", NullMechanism()).receive(data))


def test_a_message_of_several_parts_comes_whole() -> None:
    connection, events = connected(b"ROUTER"), []
    for piece in (b"\x01\x00", b"\x01\x02ab", b'\x00\x0c{"since": 0}'):
        events += list(connection.receive(piece))
    assert events == [Received((b"", b"ab", b'{"since": 0}'))]


def test_a_user_message_to_a_publisher_is_no_subscription() -> None:
    assert list(connected().receive(b"\x00\x03hey")) == [Received((b"hey",))]


@given(st.lists(st.binary(max_size=600), min_size=1, max_size=4))
def test_what_is_encoded_is_what_a_peer_decodes(frames: list[bytes]) -> None:
    if sum(map(len, frames)) > MAX_FRAME_BYTES:
        return
    assert list(connected(b"ROUTER").receive(connected(b"ROUTER").encode(frames))) == [Received(tuple(frames))]


def test_old_peers_are_not_asked_for_heartbeats() -> None:
    connection = Connection(b"XPUB", NullMechanism())
    list(connection.receive(GREETING[:11] + b"\x00" + GREETING[12:] + ready(b"SUB")))
    connection.output.clear()
    connection.ping()
    assert not connection.output
    assert connected().minor == 1
