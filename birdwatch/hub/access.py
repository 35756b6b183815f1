"""Access control: one password, stateless sessions, CSRF tokens, and a limit on sign-in attempts."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from birdwatch.errors import ConfigError
from birdwatch.hub.store import Store

__all__ = ["Access", "Session"]

SESSION_S = 30 * 86_400
# How soon a password that was set beside a running hub counts.
REREAD_S = 2.0
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1000
# Attempts from one address, and from all together, in this time.
ATTEMPTS, ALL_ATTEMPTS, WINDOW_S = 5, 60, 60.0


@dataclass(frozen=True, slots=True)
class Session:
    """A browser's session. token: the cookie. csrf: what writes have to show beside it."""

    token: str
    signed_in: bool
    csrf: str


class Access:
    """Passwords and sessions of one store. clock: seconds since 1970."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock
        # Argon2id by the library's current profile (RFC 9106, low memory: 64 MiB, 3 passes).
        self._hasher = PasswordHasher()
        self._lock = threading.Lock()
        self._attempts: deque[tuple[float, str]] = deque()
        self._ended: set[str] = set()
        self._read_at = clock()
        self._known_hash = store.property("password")
        secret = store.property("secret")
        if secret is None:
            secret = secrets.token_hex(32)
            store.set_property("secret", secret)
        self._secret = secret

    @property
    def _hash(self) -> str | None:
        """The password's hash, which `birdwatch hub password` may have changed."""
        if abs(self._clock() - self._read_at) >= REREAD_S:
            self._read_at = self._clock()
            self._known_hash = self._store.property("password")
        return self._known_hash

    @property
    def password_set(self) -> bool:
        """Whether there is a password."""
        return self._hash is not None

    def set_password(self, password: str | None) -> None:
        """Set the password, or remove it with None. All sessions end. Raises ConfigError for one that is too short."""
        if password is not None and not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise ConfigError(
                f"the password has {len(password)} characters, expected {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}"
            )
        self._known_hash = None if password is None else self._hasher.hash(password)
        self._store.set_property("password", self._known_hash)

    def wait_s(self, address: str) -> float:
        """Seconds until `address` may try a password again; 0: now. The attempt is counted."""
        now = self._clock()
        with self._lock:
            while self._attempts and self._attempts[0][0] <= now - WINDOW_S:
                self._attempts.popleft()
            own = [at for at, who in self._attempts if who == address]
            if len(own) >= ATTEMPTS:
                return own[0] + WINDOW_S - now
            if len(self._attempts) >= ALL_ATTEMPTS:
                return self._attempts[0][0] + WINDOW_S - now
            self._attempts.append((now, address))
        return 0.0

    def right(self, password: str) -> bool:
        """Whether this is the password. Takes a tenth of a second on purpose."""
        if self._hash is None or len(password) > LONGEST_PASSWORD:
            return False
        try:
            return self._hasher.verify(self._hash, password)
        except (Argon2Error, InvalidHashError):
            return False

    def open(self, *, signed_in: bool) -> Session:
        """A new session."""
        body = f"{int(self._clock()) + SESSION_S}.{int(signed_in)}.{secrets.token_urlsafe(18)}"
        return self._session(f"{body}.{self._sign('session', body)}", signed_in=signed_in)

    def read(self, token: str | None) -> Session | None:
        """The session of a cookie; None where it is not ours, over, or of an earlier password."""
        body, _, signature = (token or "").rpartition(".")
        parts = body.split(".")
        try:
            genuine = hmac.compare_digest(signature, self._sign("session", body))
        except TypeError:  # not ASCII
            return None
        if not genuine or len(parts) != 3 or token in self._ended or int(parts[0]) < self._clock():
            return None
        return self._session(str(token), signed_in=parts[1] == "1")

    def end(self, session: Session) -> None:
        """Sign out: this cookie counts no longer, until this hub starts again."""
        if session.signed_in:  # anonymous sessions, of which a visitor may open any number, are not recorded
            self._ended.add(session.token)

    def _session(self, token: str, *, signed_in: bool) -> Session:
        return Session(token, signed_in, self._sign("csrf", token))

    def _sign(self, purpose: str, text: str) -> str:
        # With the password's hash in it, a new password ends all sessions.
        key = f"{self._secret}{self._hash}".encode()
        return hmac.new(key, f"{purpose}:{text}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()
