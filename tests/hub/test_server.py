"""Connections on which nothing, or half a request, arrives, and an address that takes more than its part."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="pip install '.[hub]'")

from birdwatch.hub import server as hub_server  # noqa: E402

HALF = [
    b"",
    b"GET / HTTP/1.1\r\nHost: garden\r\n",
    b"POST / HTTP/1.1\r\nHost: garden\r\nContent-Length: 10\r\n\r\nhalf",
]
WHOLE = b"GET / HTTP/1.1\r\nHost: garden\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body, and answers; `/slow` answers after the time for requests is over."""
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/slow":
        await asyncio.sleep(hub_server.REQUEST_S * 2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextlib.contextmanager
def serving(**options: Any) -> Iterator[tuple[str, int]]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    config = uvicorn.Config(
        app, http=hub_server.Connection, lifespan="off", log_level="error", timeout_keep_alive=60, **options
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        yield sock.getsockname()
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)


def read_to_the_end(client: socket.socket) -> bytes:
    client.settimeout(20)
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(4096):
            parts.append(data)
    return b"".join(parts)


@pytest.mark.parametrize("sent", HALF)
def test_a_request_that_does_not_arrive_is_not_waited_for(sent, monkeypatch):
    monkeypatch.setattr(hub_server, "REQUEST_S", 0.2)
    with serving() as address, socket.create_connection(address) as client:
        client.sendall(sent)
        assert read_to_the_end(client) == b""


@pytest.mark.parametrize("sent", HALF[1:])
def test_nor_is_a_second_one(sent, monkeypatch):
    monkeypatch.setattr(hub_server, "REQUEST_S", 0.2)
    with serving() as address, socket.create_connection(address) as client:
        client.settimeout(20)
        client.sendall(WHOLE)
        answer = b""
        while not answer.endswith(b"ok"):
            answer += client.recv(4096)
        client.sendall(sent)
        assert read_to_the_end(client) == b""


def test_a_slow_answer_is_waited_for(monkeypatch):
    monkeypatch.setattr(hub_server, "REQUEST_S", 0.2)
    with serving() as address, socket.create_connection(address) as client:
        client.settimeout(20)
        client.sendall(WHOLE.replace(b"GET /", b"GET /slow"))
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_one_address_has_its_part_and_a_proxy_all(monkeypatch):
    monkeypatch.setattr(hub_server, "PER_ADDRESS", 3)
    for proxies, served in (("10.0.0.1", 3), ("127.0.0.0/8", 5), ("10.0.0.1,127.0.0.1", 5), ("*", 5)):
        with serving(forwarded_allow_ips=proxies) as address, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(address)) for _ in range(5)]
            answers = []
            for client in clients:
                client.settimeout(20)
                with contextlib.suppress(ConnectionError):
                    client.sendall(WHOLE)
                    answers.append(client.recv(4096))
            assert [answer[:12] for answer in answers if answer] == [b"HTTP/1.1 200"] * served, proxies
