"""A source that is lost at an awkward moment."""

from __future__ import annotations

from fakes import FakeClock

from birdwatch.errors import DeviceError
from birdwatch.live.connection import Connection
from birdwatch.live.source import DEVICE, Chunk


class LostAtOnce:
    """Opens while `read` waits, and is lost before that returns; then it is there."""

    live, finished, traits, lost_reason, name = True, False, DEVICE, "device-lost", "mic"

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.opened = 0
        self.asked = 0

    def open(self) -> None:
        self.opened += 1
        self.asked = 0

    def ready(self) -> bool:
        self.asked += 1
        return self.opened > 1

    def read(self, timeout_s: float) -> list[Chunk]:
        self.clock.advance(timeout_s)
        if self.opened == 1 and self.asked == 1:
            raise DeviceError("mic stopped (was it unplugged?)")
        return []

    def close(self) -> None:
        pass


def test_a_device_that_is_lost_while_it_opens_is_opened_again() -> None:
    clock = FakeClock()
    source = LostAtOnce(clock)
    connection = Connection(source, clock)
    turn = connection.turn(0.2)
    assert (turn.chunks, turn.lost, connection.phase) == ([], None, "closed")
    assert connection.reason == "mic stopped (was it unplugged?)"
    for _ in range(8):
        connection.turn(0.2)
    assert source.opened == 2
    assert connection.phase == "open"
