"""uvicorn around the application: where it listens, and who may be asked without a password."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

import uvicorn

from birdwatch.errors import ConfigError, SinkError
from birdwatch.hub.app import make_app
from birdwatch.hub.connections import CONNECTIONS, Connection
from birdwatch.hub.hub import Hub

__all__ = ["check_open", "parse_address", "serve"]

BACKLOG = 256
STOP_S = 3


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080` or `[::]:8080`. Raises ConfigError."""
    host, mark, port = text.rpartition(":")
    host = host.strip("[]")
    if not (mark and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ConfigError(f"http is {text!r}, expected HOST:PORT, for example 127.0.0.1:8080", setting="http")
    return host, int(port)


def check_open(host: str, *, password_set: bool, public: bool) -> None:
    """Raise ConfigError where other machines could reach a hub that has no password."""
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    if host == "localhost" or password_set or public:
        return
    raise ConfigError(
        f"http {host} can be reached from other machines and there is no password; set one with "
        "`birdwatch hub password`, or let everybody look, and change nothing, with --public",
        setting="http",
    )


def serve(hub: Hub, address: str, *, prefix: str = "", proxies: str = "127.0.0.1") -> None:
    """Serve until interrupted. Raises SinkError where the address cannot be had.

    prefix: the path under which a reverse proxy shows the hub. proxies: whose X-Forwarded headers count.
    """
    host, port = parse_address(address)
    check_open(host, password_set=hub.access.password_set, public=hub.settings.public)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise SinkError(f"{address} cannot be bound: {error.strerror or error}; choose another with --http") from error
    config = uvicorn.Config(
        make_app(hub),
        root_path=prefix.rstrip("/"),
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS,
        http=Connection,
        timeout_graceful_shutdown=STOP_S,
        log_level="warning",
        server_header=False,
        forwarded_allow_ips=proxies,
    )
    uvicorn.Server(config).run(sockets=[sock])
