from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from birdwatch.errors import ConfigError, SinkError
from birdwatch.messaging.endpoint import bind, check_endpoint, is_local
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher

ENVELOPE = Envelope(station="garden", source="mic", boot_id="b0")


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://127.0.0.1:5570", "tcp://localhost:1", "tcp://[::1]:9", "tcp://lo:5570", "ipc:///run/x", "ipc://@x"],
)
def test_loopback_and_ipc_are_local(endpoint: str) -> None:
    check_endpoint(endpoint)
    assert is_local(endpoint)


@pytest.mark.parametrize(
    "endpoint", ["tcp://*:5570", "tcp://0.0.0.0:5570", "tcp://192.168.1.7:1", "tcp://eth0:5570", "tcp://[::]:5570"]
)
def test_everything_else_needs_keys_or_to_be_asked_for(endpoint: str) -> None:
    check_endpoint(endpoint)
    assert not is_local(endpoint)
    with pytest.raises(ConfigError, match=r"keygen.*--insecure-bind"):
        Publisher(endpoint, ENVELOPE)


def test_an_open_endpoint_can_be_asked_for() -> None:
    with Publisher("tcp://0.0.0.0:*", ENVELOPE, insecure=True) as publisher:
        assert publisher.endpoint.startswith("tcp://0.0.0.0:")


@pytest.mark.parametrize(
    "endpoint", ["", "5570", "udp://127.0.0.1:1", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "ipc://"]
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="expected tcp://HOST:PORT or ipc://PATH"):
        Publisher(endpoint, ENVELOPE)


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"192\.0\.2\.1:5570 cannot be bound"):
        Publisher("tcp://192.0.2.1:5570", ENVELOPE, insecure=True)
    with pytest.raises(SinkError, match="does not exist; make it first"):
        Publisher(f"ipc://{tmp_path}/none/socket", ENVELOPE)


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".b", "a" * 300])
def test_a_host_that_can_be_no_name_is_one_line(host: str) -> None:
    with pytest.raises(SinkError, match="no name of a host"):
        bind(f"tcp://{host}:0", option="--bind", secured=True)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no ipc here")
def test_the_socket_of_an_owner_that_accepts_nothing_is_in_use_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "busy"
    with ExitStack() as stack:
        owner = stack.enter_context(socket.socket(socket.AF_UNIX))
        owner.bind(str(path))
        owner.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(str(path))
        with pytest.raises(SinkError, match="in use by another program"):
            bind(f"ipc://{path}", option="--bind", secured=False)
    assert path.exists()
