from __future__ import annotations

from pathlib import Path

import pytest

from birdwatch.errors import ConfigError, SinkError
from birdwatch.messaging.endpoint import check_endpoint, is_local
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
