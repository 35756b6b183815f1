"""Packets gathered into pieces, and frames made chunks: what is lost, how long a piece is, what ends a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from fakes import FakeClock, S

from birdwatch.errors import StreamError
from birdwatch.live.clock_sync import ClockSync
from birdwatch.live.source import Chunk
from birdwatch.live.stream_pieces import (
    AWAKE_S,
    FEW_STREAMS,
    LONG_PIECE_S,
    MAX_LAG_S,
    MAX_PIECE_S,
    PIECE_S,
    Pieces,
    Windows,
    gathered,
    piece_s,
)

av = pytest.importorskip("av")

RATE_HZ = 48000
TICKS_PER_S = 1000.0


@dataclass(frozen=True)
class Packet:
    pts: int | None
    duration: int | None = 20


def one() -> float:
    return piece_s(1)


def packets(*times: int | None) -> Iterator[Packet]:
    yield from (Packet(time) for time in times)


def frame(first: int, samples: np.ndarray, *, rate_hz: int = RATE_HZ) -> Any:
    """Samples int16 `(n, channels)` as FFmpeg has them, at `first` on the stream's own clock."""
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    value = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    value.rate, value.pts, value.time_base = rate_hz, first, Fraction(1, rate_hz)
    return value


class Made:
    """Pieces, and what came out of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.chunks: list[Chunk] = []
        self.pieces = Pieces("cam", self.clock, self.chunks.append)

    def add(self, *frames: Any) -> None:
        self.clock.advance(sum(each.samples / each.rate for each in frames))
        self.pieces.add(list(frames), self.clock.now())


def test_short_packets_come_in_pieces_and_long_ones_alone():
    short = [len(piece) for piece in gathered(packets(*range(0, 400, 20)), TICKS_PER_S, one)]
    assert short == [round(PIECE_S * 1000 / 20)] * 5
    long = gathered((Packet(time, 100) for time in range(0, 300, 100)), TICKS_PER_S, one)
    assert [len(piece) for piece in long] == [1, 1, 1]


def test_with_many_streams_pieces_are_longer_but_a_message_is_not_late():
    assert piece_s(1) == piece_s(FEW_STREAMS) == PIECE_S
    assert piece_s(2 * FEW_STREAMS) == pytest.approx(2 * PIECE_S)
    assert piece_s(10_000) == MAX_PIECE_S <= 0.25
    many = gathered(packets(*range(0, 480, 20)), TICKS_PER_S, lambda: piece_s(2 * FEW_STREAMS))
    assert [len(piece) for piece in many] == [8, 8, 8]


@pytest.mark.parametrize("packet_s", [0.02, 0.085, 0.1, 1.3])
@pytest.mark.parametrize("hop_s", [0.5, 2.496, 2.5, 5.0])
def test_with_many_streams_a_piece_ends_where_a_window_does_and_there_are_few(hop_s: float, packet_s: float) -> None:
    windows, made_s, ends = Windows(7.3, hop_s), 1.1, []
    while made_s < 60:
        length_s = windows.piece_s(made_s)
        assert 0 < length_s <= LONG_PIECE_S
        # As gathered does: packets until they last for that long.
        made_s += packet_s * np.ceil(length_s / packet_s - 1e-9)
        ends.append(made_s)
    for window_s in np.arange(7.3, 60, hop_s):
        assert min(end - window_s for end in ends if end >= window_s - 1e-6) <= packet_s + 1e-6
    assert len(ends) <= 60 / hop_s * np.ceil(hop_s / LONG_PIECE_S) + 1


def test_pieces_are_long_only_where_streams_are_many_and_windows_known() -> None:
    made = Made()
    assert made.pieces.length_s(FEW_STREAMS + 1) == piece_s(FEW_STREAMS + 1)
    made.pieces.windows = Windows(5.0, 2.5)
    assert made.pieces.length_s(FEW_STREAMS) == PIECE_S
    assert made.pieces.length_s(FEW_STREAMS + 1) == pytest.approx(2.5 / 3)
    made.add(frame(0, np.ones((RATE_HZ // 10, 1), np.int16)))
    assert made.pieces.length_s(FEW_STREAMS + 1) == pytest.approx(2.4 / 3)


def test_a_thread_sleeps_until_shortly_before_a_piece_has_arrived() -> None:
    made = Made()
    second = np.ones((RATE_HZ, 1), np.int16)
    made.add(frame(0, second))
    assert made.pieces.rest_s(0.8) == pytest.approx(0.8 - AWAKE_S)
    made.clock.advance(0.3)
    assert made.pieces.rest_s(0.8) == pytest.approx(0.5 - AWAKE_S)
    made.clock.advance(9.7)
    # A backlog is read at once, and the usual delay is still that of the fastest piece.
    made.pieces.add([frame(RATE_HZ, second)], made.clock.now())
    assert made.pieces.rest_s(0.8) < 0
    # Audio that comes faster than it sounds, as a server's first burst does, is not waited for.
    for number in range(2, 14):
        made.pieces.add([frame(number * RATE_HZ, second)], made.clock.now())
    assert made.pieces.rest_s(0.8) == pytest.approx(0.8 - AWAKE_S)


def stamps(pieces: int, late_s: Callable[[int], float]) -> tuple[Made, float]:
    """Pieces of 1 s that arrive late by so much, and how many seconds a station misses in them."""
    made = Made()
    began = made.clock.now()
    sync, missing = ClockSync(RATE_HZ, began), 0
    for number in range(pieces):
        due_ns = began.steady_ns + round((number + 1 + late_s(number)) * S)
        made.clock.advance((due_ns - made.clock.now().steady_ns) / S)
        made.pieces.add([frame(number * RATE_HZ, np.ones((RATE_HZ, 1), np.int16))], made.clock.now())
        missing += sync.observe((number + 1) * RATE_HZ + missing, made.chunks[-1].stamp)
    return made, missing / RATE_HZ


def test_jitter_of_packets_and_threads_is_no_lost_audio() -> None:
    # A quarter of an hour in which one piece in seven is in time, and long rows of others are not.
    made, missing_s = stamps(900, lambda number: 0.0 if number % 7 == 0 else 0.11 + 0.02 * (number % 3))
    assert missing_s == 0
    began_ns = made.chunks[0].stamp.steady_ns
    assert {chunk.stamp.steady_ns - began_ns - number * S for number, chunk in enumerate(made.chunks)} == {0}


@pytest.mark.parametrize("lost_s", [0.15, 0.24, 0.3, 2.0])
def test_a_delay_that_lasts_is_lost_audio_as_before(lost_s: float) -> None:
    _, missing_s = stamps(60, lambda number: lost_s if number >= 20 else 0.0)
    assert missing_s == pytest.approx(lost_s, abs=0.01)


def test_packets_without_times_are_not_held_back():
    assert [len(piece) for piece in gathered(packets(None, None, 0), TICKS_PER_S, one)] == [1, 1, 1]
    unknown = (Packet(time, None) for time in (0, 20))
    assert [len(piece) for piece in gathered(unknown, TICKS_PER_S, one)] == [1, 1]


def test_what_was_read_before_an_error_is_given_out_before_it():
    def broken() -> Iterator[Packet]:
        yield from packets(0, 20)
        raise OSError("reset")

    pieces = gathered(broken(), TICKS_PER_S, one)
    assert [packet.pts for packet in next(pieces)] == [0, 20]
    with pytest.raises(OSError, match="reset"):
        next(pieces)


def test_frames_are_one_chunk_with_the_numbers_that_they_hold():
    made = Made()
    samples = np.random.default_rng(1).integers(-32768, 32767, (2 * 960, 2), np.int16)
    made.add(frame(0, samples[:960]), frame(960, samples[960:]))
    (chunk,) = made.chunks
    np.testing.assert_array_equal(chunk.samples, samples.astype(np.float64) / 32768)
    assert (chunk.rate_hz, chunk.lost_frames, chunk.stamp) == (RATE_HZ, 0, made.clock.now())


def test_lost_packets_divide_a_piece_and_are_counted_before_what_follows_them():
    made = Made()
    second = np.ones((RATE_HZ, 1), np.int16)
    for number in range(4):
        made.add(frame(number * RATE_HZ, second))
    part = np.full((4800, 1), 2, np.int16)
    made.add(frame(4 * RATE_HZ, part), frame(4 * RATE_HZ + 4 * 4800, part + 1))
    before, after = made.chunks[4:]
    assert (len(before.samples), before.lost_frames) == (4800, 0)
    assert (len(after.samples), after.lost_frames) == (4800, 3 * 4800)
    assert after.samples[0, 0] == 3 / 32768


def test_another_rate_ends_the_stream_after_what_came_before_it():
    made = Made()
    part = np.ones((4800, 1), np.int16)
    with pytest.raises(StreamError, match="48000 Hz, 1 channels to 44100 Hz, 1 channels"):
        made.add(frame(0, part), frame(4800, part, rate_hz=44100))
    assert [len(chunk.samples) for chunk in made.chunks] == [4800]
    assert made.pieces.reason == "stream-lost"


def test_a_stream_that_falls_behind_real_time_is_a_stall():
    made = Made()
    part = np.ones((4800, 1), np.int16)
    made.add(frame(0, part))
    made.clock.advance(MAX_LAG_S - 1)
    made.add(frame(4800, part))
    made.clock.advance(2)
    with pytest.raises(StreamError, match="slower than real time"):
        made.add(frame(9600, part))
    assert made.pieces.reason == "stall"
    assert len(made.chunks) == 3
