"""Where sockets are bound: what an endpoint may be, and one clear error where it cannot be had."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
from pathlib import Path

import zmq

from birdwatch.errors import ConfigError, SinkError

__all__ = ["bind", "bound_peers", "check_endpoint", "is_local"]

# A peer that is gone without a word (cable pulled) is noticed and its queue freed.
HEARTBEAT_MS = 10_000
HEARTBEAT_TIMEOUT_MS = 30_000

# A subscription or a question is short; nothing longer is accepted from outside.
MAX_REQUEST_BYTES = 4096

# How many may be at the door at once, as after a restart of a station with hundreds of subscribers.
BACKLOG = 1024

_TCP = re.compile(r"tcp://(?P<host>\[[^]]+\]|[^:/\s]+):(?P<port>\d{1,5}|\*)")
_IPC = re.compile(r"ipc://(?P<path>[^\s].*)")


def check_endpoint(endpoint: str) -> None:
    """Raise ConfigError for anything but `tcp://HOST:PORT` and `ipc://PATH`."""
    tcp = _TCP.fullmatch(endpoint)
    if not (_IPC.fullmatch(endpoint) or (tcp and (tcp["port"] == "*" or int(tcp["port"]) < 65536))):
        raise ConfigError(
            f"endpoint is {endpoint!r}, expected tcp://HOST:PORT or ipc://PATH, for example tcp://127.0.0.1:5570"
        )


def is_local(endpoint: str) -> bool:
    """Whether only this machine can reach `endpoint`: loopback or ipc."""
    tcp = _TCP.fullmatch(endpoint)
    if tcp is None:
        return endpoint.startswith("ipc://")
    host = tcp["host"].strip("[]")
    if host in ("localhost", "lo"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # `*`, a name or an interface: may be reached from elsewhere


def bound_peers(sock: zmq.Socket[bytes]) -> None:
    """Bound what strangers can cost: silence, long requests, a crowd at the door. Before `bind`."""
    sock.heartbeat_ivl = HEARTBEAT_MS
    sock.heartbeat_timeout = HEARTBEAT_TIMEOUT_MS
    sock.maxmsgsize = MAX_REQUEST_BYTES
    sock.backlog = BACKLOG


def bind(sock: zmq.Socket[bytes], endpoint: str, *, option: str, secured: bool) -> str:
    """Bind `sock` and return the endpoint with its real port.

    option: the setting to name in errors. secured: keys are used, or the user asked for an open endpoint. Raises
    ConfigError for an endpoint that is none or would be open to all, SinkError where it cannot be had.
    """
    check_endpoint(endpoint)
    if not (secured or is_local(endpoint)):
        raise ConfigError(
            f"{option} {endpoint} can be reached from other machines and has no keys: make some with "
            f"`birdwatch keygen` and name their folder with --curve-keys, or allow it with --insecure-bind"
        )
    if endpoint.startswith("ipc://"):
        _check_ipc(endpoint, option)
    try:
        sock.bind(endpoint)
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            raise SinkError(_taken(endpoint, option)) from error
        why = {errno.ENODEV: "this machine has no such address"}.get(error.errno or 0, os.strerror(error.errno or 0))
        raise SinkError(f"{endpoint} cannot be bound: {why}; choose another with {option}") from error
    return sock.getsockopt_string(zmq.LAST_ENDPOINT)


def _check_ipc(endpoint: str, option: str) -> None:
    """ZeroMQ would take the path from whoever listens there, without a word."""
    name = endpoint.removeprefix("ipc://")
    if not name.startswith("@") and not Path(name).parent.is_dir():
        raise SinkError(f"{endpoint} cannot be bound: the folder {Path(name).parent} does not exist; make it first")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect("\0" + name[1:] if name.startswith("@") else name)
        except OSError:
            return
    raise SinkError(_taken(endpoint, option))


def _taken(endpoint: str, option: str) -> str:
    return f"{endpoint} is in use by another program (a second birdwatch?); stop that, or choose another with {option}"
