"""Refusing a connection when no descriptor is left."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from birdwatch.messaging import admission
from birdwatch.messaging.admission import SpareDescriptor

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")


NONE_LEFT = OSError(errno.EMFILE, "Too many open files")


class Queue(socket.socket):
    """A listening socket: what `accept` gives, in turn."""

    def __init__(self, *outcomes: socket.socket | OSError) -> None:
        super().__init__()
        self.close()
        self._outcomes = list(outcomes)

    def accept(self) -> tuple[socket.socket, str]:
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome, "peer"


def descriptors() -> dict[str, str]:
    return {path.name: str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.exists()}


def test_a_refused_connection_is_closed_and_its_number_is_kept() -> None:
    near, far = socket.socketpair()
    with closing(far), closing(SpareDescriptor()) as spare:
        number = near.fileno()
        assert spare.refuse(Queue(near), NONE_LEFT)
        assert far.recv(1) == b""
        assert stat.S_ISCHR(os.fstat(number).st_mode)
        # The one that was spare before is free for the next.
        again, other = socket.socketpair()
        with closing(other):
            assert spare.refuse(Queue(again), NONE_LEFT)
            assert other.recv(1) == b""
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(number)


def test_a_spare_descriptor_that_another_thread_took_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(admission.time, "sleep", waits.append)
    near, far = socket.socketpair()
    with closing(far), closing(SpareDescriptor()) as spare:
        queue = Queue(NONE_LEFT, NONE_LEFT, near)
        for _ in range(2):
            assert not spare.refuse(queue, NONE_LEFT)
        assert waits == [admission.RETRY_S] * 2
        assert spare.refuse(queue, NONE_LEFT)
        assert far.recv(1) == b""


@pytest.mark.parametrize("accepting", ["nobody waits", "the peer went"])
def test_what_is_no_want_of_descriptors_costs_no_spare_one(accepting: str) -> None:
    before = descriptors()
    with closing(SpareDescriptor()) as spare:
        kept = descriptors().keys() - before.keys()
        if accepting == "nobody waits":
            # The system looks for a descriptor before it looks at the queue.
            with closing(socket.create_server(("127.0.0.1", 0))) as listening:
                listening.setblocking(False)
                assert not spare.refuse(listening, NONE_LEFT)
        else:
            assert not spare.refuse(Queue(), OSError(errno.ECONNABORTED, "aborted"))
        assert len(descriptors().keys() - before.keys()) == len(kept) == 2


def test_nothing_stays_open() -> None:
    before = descriptors()
    near, far = socket.socketpair()
    with closing(far), closing(SpareDescriptor()) as spare:
        assert spare.refuse(Queue(near), NONE_LEFT)
    assert descriptors().keys() == before.keys()
