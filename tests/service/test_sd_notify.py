from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from birdwatch.service.sd_notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """What systemd holds: the name in NOTIFY_SOCKET and the socket behind it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@birdwatch-test-{os.getpid()}-{id(request)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0"))
        sock.settimeout(10)
        yield name, sock


@pytest.fixture
def notifier_of() -> Iterator[Callable[..., Notifier]]:
    """Makes notifiers, and closes them."""
    with ExitStack() as stack:
        yield lambda *args, **named: stack.enter_context(closing(Notifier(*args, **named)))


def received(sock: socket.socket) -> list[str]:
    return sock.recv(4096).decode().split("\n")


def silent(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        sock.recv(4096)
    except BlockingIOError:
        return True
    return False


def test_the_life_of_a_daemon(systemd: tuple[str, socket.socket], notifier_of: Callable[..., Notifier]) -> None:
    name, sock = systemd
    notifier = notifier_of({"NOTIFY_SOCKET": name}, clock=lambda: 5_000_000)
    assert notifier.connected
    notifier.ready("listening to USB Mic")
    assert received(sock) == ["READY=1", "STATUS=listening to USB Mic"]
    notifier.status("waiting\nfor a microphone")
    assert received(sock) == ["STATUS=waiting for a microphone"]
    notifier.reloading()
    assert received(sock) == ["RELOADING=1", "MONOTONIC_USEC=5000"]
    notifier.ready("back")
    assert received(sock) == ["READY=1", "STATUS=back"]
    notifier.stopping("bye")
    assert received(sock) == ["STOPPING=1", "STATUS=bye"]
    notifier.close()
    notifier.status("too late")
    assert silent(sock)


def test_the_same_status_is_sent_once(systemd: tuple[str, socket.socket], notifier_of: Callable[..., Notifier]) -> None:
    name, sock = systemd
    notifier = notifier_of({"NOTIFY_SOCKET": name})
    notifier.status("a")
    notifier.status("a")
    notifier.status("b")
    assert [received(sock), received(sock)] == [["STATUS=a"], ["STATUS=b"]]
    assert silent(sock)


def test_the_watchdog_is_fed_by_progress_only_and_four_times_an_interval(
    systemd: tuple[str, socket.socket], notifier_of: Callable[..., Notifier]
) -> None:
    name, sock = systemd
    now = [0]
    notifier = notifier_of({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000000"}, clock=lambda: now[0])
    assert notifier.watchdog_s == 20.0
    fed = 0
    for _ in range(200):
        notifier.progress()
        now[0] += 100_000_000
    sock.setblocking(False)
    while not silent(sock):
        fed += 1
    assert fed == 4
    now[0] += 3600 * 10**9
    assert silent(sock)


def test_a_watchdog_of_another_process_is_not_fed(
    systemd: tuple[str, socket.socket], notifier_of: Callable[..., Notifier]
) -> None:
    name, sock = systemd
    notifier = notifier_of({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"})
    notifier.progress()
    assert notifier.watchdog_s == 0.0
    assert silent(sock)


@pytest.mark.parametrize("name", ["", "vsock:2:1234", "relative"])
def test_without_systemd_nothing_happens(name: str, notifier_of: Callable[..., Notifier]) -> None:
    notifier = notifier_of({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1"})
    assert not notifier.connected
    notifier.ready("x")
    notifier.progress()
    notifier.stopping("x")


def test_a_socket_that_is_gone_is_no_reason_to_stop(tmp_path: Path, notifier_of: Callable[..., Notifier]) -> None:
    notifier_of({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("x")
