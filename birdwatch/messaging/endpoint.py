"""Endpoints of a station: their syntax, and one clear error if one cannot be bound."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import re
import socket
import stat
import struct
import sys
from pathlib import Path

from birdwatch.errors import ConfigError, SinkError

__all__ = ["bind", "check_endpoint", "is_local", "peer_of", "remove_socket_file", "set_peer_options"]

# Connections that the kernel may hold until they are accepted, as after a restart with hundreds of subscribers.
BACKLOG = 256

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


def bind(endpoint: str, *, option: str, secured: bool) -> tuple[socket.socket, str]:
    """A listening socket, and the endpoint with its real port.

    option: the setting to name in errors. secured: keys are used, or the user asked for an open endpoint. Raises
    ConfigError for an endpoint that is none or would be open to all, SinkError where it cannot be had.
    """
    check_endpoint(endpoint)
    if not (secured or is_local(endpoint)):
        raise ConfigError(
            f"{option} {endpoint} can be reached from other machines and has no keys: make some with "
            f"`birdwatch keygen` and name their folder with --curve-keys, or allow it with --insecure-bind"
        )
    try:
        if endpoint.startswith("ipc://"):
            return _bind_ipc(endpoint, option), endpoint
        sock, host = _bind_tcp(endpoint)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SinkError(_taken(endpoint, option)) from error
        why = {errno.EADDRNOTAVAIL: "this machine has no such address"}.get(
            error.errno or 0, error.strerror or str(error)
        )
        raise SinkError(f"{endpoint} cannot be bound: {why}; choose another with {option}") from error
    except UnicodeError as error:  # a name with an empty part, or one of more than 63 letters
        raise SinkError(
            f"{endpoint} cannot be bound: no name of a host ({error}); choose another with {option}"
        ) from error
    return sock, f"tcp://{host}:{sock.getsockname()[1]}"


def peer_of(sock: socket.socket, address: object) -> str:
    """The peer that a connection is counted under: an IPv4 address, an IPv6 network of 64 bits, or a user over ipc."""
    if isinstance(address, tuple):
        host = str(address[0]).partition("%")[0]
        if sock.family != socket.AF_INET6:
            return host
        return host.rpartition(":")[2] if "." in host else socket.inet_pton(socket.AF_INET6, host)[:8].hex(":", 2)
    if not hasattr(socket, "SO_PEERCRED"):
        return "ipc"
    _process, user, _group = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return f"user {user}"


def set_peer_options(sock: socket.socket) -> None:
    """Send without delay; detect a lost connection of a peer whose protocol is too old for heartbeats."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def remove_socket_file(endpoint: str) -> None:
    """Remove the file of an ipc endpoint that is no longer served."""
    path = endpoint.removeprefix("ipc://")
    if endpoint.startswith("ipc://") and not path.startswith("@"):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                Path(path).unlink()


def _bind_tcp(endpoint: str) -> tuple[socket.socket, str]:
    """The socket, and the host as it stands in an endpoint. Raises OSError."""
    tcp = _TCP.fullmatch(endpoint)
    assert tcp is not None
    host, port = tcp["host"], 0 if tcp["port"] == "*" else int(tcp["port"])
    address = "0.0.0.0" if host == "*" else host.strip("[]")
    address = _interface_address(address) or address
    family, kind, protocol, _, name = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            # So that a restart need not wait for connections of before to time out. It means something else on Windows.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `[::]` is every address of this machine, those of IPv4 included.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(name)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    own = sock.getsockname()[0]
    return sock, f"[{own}]" if family == socket.AF_INET6 else own


def _interface_address(name: str) -> str | None:
    """The IPv4 address of a network interface such as eth0; None where there is none of that name."""
    if sys.platform != "linux" or name not in (interface for _, interface in socket.if_nameindex()):
        return None
    import fcntl

    siocgifaddr = 0x8915
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        found = fcntl.ioctl(sock, siocgifaddr, struct.pack("256s", name.encode()[:15]))
    return socket.inet_ntoa(found[20:24])


def _bind_ipc(endpoint: str, option: str) -> socket.socket:
    """The socket at a path, which every user of the machine may open. Nothing but a dead socket is ever replaced."""
    if not hasattr(socket, "AF_UNIX"):
        raise SinkError(f"{endpoint} cannot be bound: this system has no ipc; use tcp with {option}")
    name = endpoint.removeprefix("ipc://")
    address = "\0" + name[1:] if name.startswith("@") else name
    if not name.startswith("@"):
        _make_room(Path(name), endpoint, option)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(address)
        if not name.startswith("@"):
            # Independent of the service's strict umask: the folder's permissions and keys control access.
            Path(name).chmod(0o666)
        sock.listen(BACKLOG)
    except ValueError as error:  # a NUL in the path
        sock.close()
        raise SinkError(f"{endpoint} cannot be bound: {error}; choose another with {option}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def _make_room(path: Path, endpoint: str, option: str) -> None:
    """Remove the socket that a killed daemon left behind."""
    if not path.parent.is_dir():
        raise SinkError(f"{endpoint} cannot be bound: the folder {path.parent} does not exist; make it first")
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SinkError(
            f"{endpoint} cannot be bound: {path} is a file, which is not replaced; choose another with {option}"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # An owner that accepts nothing, with as many waiting as may, must not be waited for: BlockingIOError.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise SinkError(_taken(endpoint, option))


def _taken(endpoint: str, option: str) -> str:
    return f"{endpoint} is in use by another program (a second birdwatch?); stop that, or choose another with {option}"
