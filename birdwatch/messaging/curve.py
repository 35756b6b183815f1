"""CURVE keys: a station's folder of keys, a subscriber's folder of keys, and who is let in.

    KEYS/server.key           public: subscribers need it         KEYS/server.key_secret   the station's own (0600)
    KEYS/clients/NAME.key     who may subscribe, one file each    KEYS/for-NAME/           what NAME's machine gets

The files are pyzmq's certificates.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq
from zmq.auth import Authenticator, create_certificates, load_certificate, load_certificates

from birdwatch.errors import ConfigError

__all__ = ["Gatekeeper", "make_client_keys", "make_server_keys", "use_client_keys"]

SERVER = "server"
CLIENT = "client"

# Whom our keys let in; other sockets of the same process are none of it.
DOMAIN = "birdwatch"

STOP_S = 3.0


def make_server_keys(folder: Path) -> None:
    """Make a station's keys in `folder`. Raises ConfigError where there are some, which subscribers rely on."""
    secret = folder / f"{SERVER}.key_secret"
    if secret.exists():
        raise ConfigError(f"{secret} exists; subscribers rely on it, so it is not replaced; delete it to begin anew")
    (folder / "clients").mkdir(parents=True, exist_ok=True)
    with _private():
        create_certificates(folder, SERVER)
    (folder / f"{SERVER}.key").chmod(0o644)


def make_client_keys(folder: Path, name: str) -> Path:
    """Let `name` subscribe: its public key goes to `clients`, and its own folder, which is returned, to its machine."""
    if not name.isprintable() or "/" in name or name.startswith(".") or not name:
        raise ConfigError(f"client is {name!r}, expected a name that can be a file's, for example kitchen-pc")
    server = folder / f"{SERVER}.key"
    if not server.exists():
        raise ConfigError(
            f"{folder} holds no station's keys ({server.name}); make them first: birdwatch keygen {folder}"
        )
    public = folder / "clients" / f"{name}.key"
    if public.exists():
        raise ConfigError(f"{public} exists; choose another name, or delete it to shut the old key out")
    parcel = folder / f"for-{name}"
    with _private():
        parcel.mkdir(exist_ok=True)
        create_certificates(parcel, CLIENT)
        shutil.copyfile(server, parcel / server.name)
        (parcel / f"{CLIENT}.key").replace(public)
    public.chmod(0o644)
    return parcel


def use_client_keys(sock: zmq.Socket[bytes], folder: Path) -> None:
    """Make a subscriber's socket use the keys in `folder` (server.key, client.key_secret), before it connects."""
    server, _ = _certificate(folder / f"{SERVER}.key")
    public, secret = _certificate(folder / f"{CLIENT}.key_secret")
    sock.curve_serverkey, sock.curve_publickey = server, public
    sock.curve_secretkey = _secret_of(secret, folder / f"{CLIENT}.key_secret")


class Gatekeeper:
    """Lets only the keys in `KEYS/clients` in. Raises ConfigError for a folder that does not hold what it must."""

    def __init__(self, context: zmq.Context[Any], folder: Path) -> None:
        path = folder / f"{SERVER}.key_secret"
        handed = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / path.name
        if os.path.lexists(handed):
            # From systemd (LoadCredential=server.key_secret:...), which sees to it that nobody else can read it.
            path = handed
        self._public, secret = _certificate(path)
        self._secret = _secret_of(secret, path)
        if path != handed and path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others than its owner; chmod 600 {path}")
        self._clients = folder / "clients"
        self._check_clients()
        self._authenticator = Authenticator(context)
        self._authenticator.configure_curve(DOMAIN, self._clients)
        self._authenticator.start()
        name = f"inproc://gatekeeper-{id(self)}"
        self._end, self._ended = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        self._end.linger = round(STOP_S * 1000)
        self._ended.bind(name)
        self._end.connect(name)
        # Waits on sockets and only wakes for the handshake of a new subscriber. Not the library's own thread, which has
        # an event loop between its sockets and its end: a plain poll of both cannot miss either.
        self._thread = threading.Thread(target=self._run, name="gatekeeper", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        zap = self._authenticator.zap_socket
        poller = zmq.Poller()
        poller.register(zap, zmq.POLLIN)
        poller.register(self._ended, zmq.POLLIN)
        try:
            while True:
                ready = dict(poller.poll())
                if self._ended in ready:
                    return
                asyncio.run(self._authenticator.handle_zap_message(zap.recv_multipart()))
        finally:
            self._authenticator.stop()
            self._ended.close()

    def reload(self) -> None:
        """Let those in whose keys are there now; who is in stays. Raises ConfigError, and all stays as it was."""
        self._check_clients()
        self._authenticator.configure_curve(DOMAIN, self._clients)

    def _check_clients(self) -> None:
        # The library would log a fault here and let nobody in.
        if not self._clients.is_dir():
            folder = self._clients.parent
            raise ConfigError(f"{folder} has no folder `clients` with keys; birdwatch keygen {folder} --client NAME")
        try:
            load_certificates(self._clients)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self._clients}: {error}; delete that file, or make it again") from None

    def guard(self, sock: zmq.Socket[bytes]) -> None:
        """Make `sock` speak CURVE only, before it is bound."""
        sock.curve_server = True
        sock.curve_publickey, sock.curve_secretkey = self._public, self._secret
        sock.zap_domain = DOMAIN.encode()

    def close(self) -> bool:
        """Stop letting anybody in; False where the thread did not end in time."""
        if not self._end.closed:
            self._end.send(b"", zmq.NOBLOCK)
            self._end.close()
        self._thread.join(STOP_S)
        return not self._thread.is_alive()


def _certificate(path: Path) -> tuple[bytes, bytes | None]:
    try:
        path.open("rb").close()  # the library says of all files that it cannot read that they are invalid
        return load_certificate(path)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ConfigError(f"no keys: {path}: {reason}; make them with `birdwatch keygen`") from None


def _secret_of(secret: bytes | None, path: Path) -> bytes:
    if secret is None:
        raise ConfigError(f"{path} holds no secret key; make the keys again with `birdwatch keygen`")
    return secret


@contextmanager
def _private() -> Iterator[None]:
    """Files made inside can be read by their owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
