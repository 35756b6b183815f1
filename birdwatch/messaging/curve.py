"""CURVE keys: a station's folder of keys, a subscriber's folder of keys, and which subscribers are admitted.

    KEYS/server.key           public: subscribers need it         KEYS/server.key_secret   the station's own (0600)
    KEYS/clients/NAME.key     who may subscribe, one file each    KEYS/for-NAME/           what NAME's machine gets

The files are pyzmq's certificates.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq
from zmq.auth import create_certificates, load_certificate
from zmq.utils import z85

from birdwatch.errors import ConfigError
from birdwatch.messaging.curve_handshake import CurveMechanism
from birdwatch.whole_file import read_whole

__all__ = ["StationKeys", "make_client_keys", "make_server_keys", "use_client_keys"]

SERVER = "server"
CLIENT = "client"
# A certificate has 364.
MAX_KEY_BYTES = 100_000


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
        raise ConfigError(f"client is {name!r}, expected a valid file name, for example kitchen-pc")
    server = folder / f"{SERVER}.key"
    if not server.exists():
        raise ConfigError(
            f"{folder} holds no station's keys ({server.name}); make them first: birdwatch keygen {folder}"
        )
    public = folder / "clients" / f"{name}.key"
    if public.exists():
        raise ConfigError(f"{public} exists; choose another name, or delete it to revoke the old key")
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


class StationKeys:
    """A station's own keys and those of its subscribers. Raises ConfigError for a folder that lacks something."""

    def __init__(self, folder: Path) -> None:
        path = folder / f"{SERVER}.key_secret"
        handed = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / path.name
        if os.path.lexists(handed):
            # From systemd (LoadCredential=server.key_secret:...), readable by this service only.
            path = handed
        public, secret = _certificate(path)
        self._public, self._secret = z85.decode(public), z85.decode(_secret_of(secret, path))
        if path != handed and path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others than its owner; chmod 600 {path}")
        self._folder = folder / "clients"
        self._clients = self.clients()

    def clients(self) -> frozenset[bytes]:
        """The subscribers' public keys that are in the folder now. Raises ConfigError."""
        if not self._folder.is_dir():
            folder = self._folder.parent
            raise ConfigError(f"{folder} has no folder `clients` with keys; birdwatch keygen {folder} --client NAME")
        try:
            return frozenset(z85.decode(_loaded(path)[0]) for path in sorted(self._folder.glob("*.key")))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self._folder}: {error}; delete that file, or make it again") from None

    def use(self, clients: frozenset[bytes]) -> None:
        """Admit these keys from now on; existing connections stay."""
        self._clients = clients

    def mechanism(self) -> CurveMechanism:
        """The security of a new connection."""
        return CurveMechanism(self._public, self._secret, lambda key: key in self._clients)


def _certificate(path: Path) -> tuple[bytes, bytes | None]:
    try:
        return _loaded(path)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ConfigError(f"no keys: {path}: {reason}; make them with `birdwatch keygen`") from None


def _loaded(path: Path) -> tuple[bytes, bytes | None]:
    """A certificate; read before, since the library waits for pipes and calls all that it cannot read invalid."""
    read_whole(path, limit=MAX_KEY_BYTES)
    return load_certificate(path)


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
