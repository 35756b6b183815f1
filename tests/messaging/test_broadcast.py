"""Who gets what, against the obvious: each message to each subscriber with a prefix of it, as long as it is held."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.messaging.broadcast import MAX_SUBSCRIPTIONS, SPECTRUM_PREFIX, Broadcast
from birdwatch.messaging.peer import Peer
from birdwatch.messaging.zmtp import ProtocolError, Received, Subscription


def peer() -> Peer:
    return cast(Peer, object())


TOPICS = (b"birdwatch/1/event/a/", b"birdwatch/1/event/b/", b"birdwatch/1/gap/a/", b"x")
prefixes = st.sampled_from([b"", b"b", b"birdwatch/1/", b"birdwatch/1/event/", b"birdwatch/1/event/a/", b"y", b"x"])
steps = st.lists(
    st.tuples(st.just("publish"), st.sampled_from(TOPICS))
    | st.tuples(st.just("subscribe"), prefixes)
    | st.tuples(st.just("cancel"), prefixes)
    | st.tuples(st.just("take"), st.integers(0, 4))
    | st.tuples(st.just("rubbish"), st.binary(max_size=4)),
    max_size=60,
)


@pytest.mark.fuzz
@given(steps, st.integers(1, 8))
def test_a_subscriber_gets_what_it_asked_for_or_it_is_counted(actions: list[tuple[str, Any]], high_water: int) -> None:
    broadcast, one = Broadcast(high_water, lambda prefix: None, lambda: None), peer()
    broadcast.ready(one)
    wanted: set[bytes] = set()
    held: list[tuple[bytes, bytes]] = []
    position = number = lost = 0
    for action, value in actions:
        if action == "publish":
            message = (value, str(number).encode())
            number += 1
            broadcast.offer(message)
            broadcast.turn()
            held.append(message)
            # What falls out of the newest `high_water` before it was taken is lost, if it was wanted at that moment.
            while position < len(held) - high_water:
                lost += held[position][0].startswith(tuple(wanted))
                position += 1
        elif action == "subscribe":
            broadcast.received(one, Subscription(value, True))
            wanted.add(value)
        elif action == "cancel":
            broadcast.received(one, Subscription(value, False))
            wanted.discard(value)
        elif action == "rubbish":
            broadcast.received(one, Received((value,)))
        else:
            for _ in range(value):
                frames = broadcast.next_frames(one)
                while position < len(held) and not held[position][0].startswith(tuple(wanted)):
                    position += 1
                if position == len(held):
                    assert frames is None
                else:
                    assert frames == held[position]
                    position += 1
    assert broadcast.dropped == lost
    assert broadcast.subscriptions == len(wanted)
    broadcast.closed(one)
    assert broadcast.subscriptions == 0


def test_subscriptions_are_bounded_and_cancelling_makes_room() -> None:
    broadcast, one = Broadcast(10, lambda prefix: None, lambda: None), peer()
    broadcast.ready(one)
    for number in range(MAX_SUBSCRIPTIONS):
        broadcast.received(one, Subscription(b"%d" % number, True))
    broadcast.received(one, Subscription(b"0", True))  # again, and nothing more
    with pytest.raises(ProtocolError, match="subscriptions"):
        broadcast.received(one, Subscription(b"one more", True))
    broadcast.received(one, Subscription(b"0", False))
    broadcast.received(one, Subscription(b"one more", True))
    assert broadcast.subscriptions == MAX_SUBSCRIPTIONS


def test_a_spectrum_goes_to_those_that_name_it_and_old_ones_give_way() -> None:
    broadcast, display, other = Broadcast(10, lambda prefix: None, lambda: None), peer(), peer()
    for one, prefix in ((display, SPECTRUM_PREFIX), (other, b"birdwatch/1/")):
        broadcast.ready(one)
        broadcast.received(one, Subscription(prefix, True))
    assert broadcast.spectrum_subscriptions == 1
    for number in range(100):
        broadcast.offer_spectrum((SPECTRUM_PREFIX + b"garden/-/", b"%d" % number))
        broadcast.turn()
    got = []
    while (frames := broadcast.next_frames(display)) is not None:
        got.append(int(frames[1]))
    assert got == [*range(80, 100)]
    assert broadcast.next_frames(other) is None
    assert broadcast.dropped == 0


def test_a_message_larger_than_all_bounds_still_passes() -> None:
    broadcast, one = Broadcast(10, lambda prefix: None, lambda: None), peer()
    broadcast.ready(one)
    broadcast.received(one, Subscription(b"", True))
    for number in range(3):
        broadcast.offer((b"t", bytes([number]) * 40_000_000))
        broadcast.turn()
    frames = broadcast.next_frames(one)
    assert frames is not None
    assert (frames[1][0], broadcast.dropped) == (2, 2)
