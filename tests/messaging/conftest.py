from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from log_entries import MB
from replay_station import station

from birdwatch.messaging.curve import make_client_keys, make_server_keys, use_client_keys
from birdwatch.messaging.message_log import MessageLog
from birdwatch.messaging.publisher import Publisher


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Callable[..., MessageLog]]:
    with ExitStack() as stack:

        def make(path: Path = tmp_path / "j.db", max_bytes: int = 10 * MB, **more: object) -> MessageLog:
            stack.close()  # one owner at a time, as after a restart
            return stack.enter_context(closing(MessageLog(path, max_bytes=max_bytes, **more)))  # type: ignore[arg-type]

        yield make


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    """Publishes and answers replay on ports of its own."""
    with station(tmp_path) as value:
        yield value


@pytest.fixture(params=["plain", "curve"])
def security(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Options of a publisher and of its subscribers' sockets."""
    if request.param == "plain":
        return {"publisher": {}, "set_up": None, "keys": None}
    make_server_keys(tmp_path / "keys")
    friend = make_client_keys(tmp_path / "keys", "friend")
    return {
        "publisher": {"keys": tmp_path / "keys"},
        "set_up": lambda sock: use_client_keys(sock, friend),
        "keys": friend,
    }
