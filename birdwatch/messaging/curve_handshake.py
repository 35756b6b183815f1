"""The server's end of CURVE, ZeroMQ's encryption and authentication, for one connection. Pure: no socket, no file.

https://rfc.zeromq.org/spec/26: HELLO and WELCOME agree on keys for this connection alone, INITIATE proves who the
client is, READY begins. The cryptography is libsodium's, by PyNaCl. Unlike the specification's, the cookie is no
encrypted state but random bytes that have to come back: the state is kept by the connection anyway.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from nacl.bindings import crypto_box, crypto_box_afternm, crypto_box_beforenm, crypto_box_open, crypto_box_open_afternm
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey

from birdwatch.messaging.zmtp import ProtocolError, frame

__all__ = ["CurveMechanism"]

# Lengths of whole commands, and of what INITIATE holds at least: name, cookie, nonce, and a box with the client's key,
# its vouch and no properties.
HELLO_BYTES, INITIATE_BYTES = 200, 257
COOKIE_BYTES, VOUCH_BYTES, KEY_BYTES = 96, 80, 32


class CurveMechanism:
    """One client's handshake and messages.

    public, secret: the station's long-term keys, 32 bytes each. allowed: whether a client's public key may connect.
    """

    name = b"CURVE"

    def __init__(self, public: bytes, secret: bytes, allowed: Callable[[bytes], bool]) -> None:
        self._public, self._secret = public, secret
        self._allowed = allowed
        self._metadata = b""
        self._client = b""
        self._own = b""
        self._cookie = b""
        self._shared = b""
        self._sent = 0
        self._seen = 0

    def begin(self, metadata: bytes) -> bytes | None:
        """Nothing: the client sends first."""
        self._metadata = metadata
        return None

    def handshake(self, command: bytes) -> tuple[bytes | None, bytes | None]:
        """WELCOME to a HELLO, READY and the client's properties to an INITIATE. Raises ProtocolError."""
        try:
            if not self._cookie:
                return self._welcome(command), None
            return self._ready(command)
        except CryptoError:
            raise ProtocolError("a handshake that cannot be decrypted: other keys?") from None

    def encoded(self, flags: int, payload: bytes) -> bytes:
        """A MESSAGE with the frame in it."""
        box = self._box(b"CurveZMQMESSAGES", bytes((flags & 1 | (flags & 4) >> 1,)) + payload)
        return frame(0, b"\x07MESSAGE" + box)

    def decoded(self, flags: int, body: bytes) -> tuple[int, bytes]:
        """The frame in a MESSAGE. Raises ProtocolError."""
        if not body.startswith(b"\x07MESSAGE"):
            raise ProtocolError("a frame that is not encrypted")
        inner = self._opened(b"CurveZMQMESSAGEC", body[8:])
        if not inner:
            raise ProtocolError("an encrypted frame without flags")
        return inner[0] & 1 | (inner[0] & 2) << 1, inner[1:]

    def _welcome(self, hello: bytes) -> bytes:
        if len(hello) != HELLO_BYTES or not hello.startswith(b"\x05HELLO\x01\x00"):
            raise ProtocolError("the handshake is no HELLO")
        self._client, nonce, signature = hello[80:112], hello[112:120], hello[120:]
        zeros = crypto_box_open(signature, b"CurveZMQHELLO---" + nonce, self._client, self._secret)
        if any(zeros):
            raise ProtocolError("a HELLO with a wrong signature")
        self._seen = int.from_bytes(nonce)
        own = PrivateKey.generate()
        self._own, self._cookie = bytes(own), os.urandom(COOKIE_BYTES)
        long_nonce = os.urandom(16)
        box = crypto_box(bytes(own.public_key) + self._cookie, b"WELCOME-" + long_nonce, self._client, self._secret)
        return b"\x07WELCOME" + long_nonce + box

    def _ready(self, initiate: bytes) -> tuple[bytes, bytes]:
        if len(initiate) < INITIATE_BYTES or not initiate.startswith(b"\x08INITIATE"):
            raise ProtocolError("the handshake is no INITIATE")
        if initiate[9 : 9 + COOKIE_BYTES] != self._cookie:
            raise ProtocolError("an INITIATE with another cookie")
        self._shared = crypto_box_beforenm(self._client, self._own)
        inner = self._opened(b"CurveZMQINITIATE", initiate[9 + COOKIE_BYTES :])
        key, vouch_nonce, metadata_at = (
            inner[:KEY_BYTES],
            inner[KEY_BYTES : KEY_BYTES + 16],
            KEY_BYTES + 16 + VOUCH_BYTES,
        )
        if not self._allowed(key):
            raise ProtocolError("a key that is not admitted")
        # Only the owner of `key`'s secret key can have made this for the connection's keys and this station.
        vouch = crypto_box_open(inner[KEY_BYTES + 16 : metadata_at], b"VOUCH---" + vouch_nonce, key, self._own)
        if vouch != self._client + self._public:
            raise ProtocolError("a vouch for another connection")
        return b"\x05READY" + self._box(b"CurveZMQREADY---", self._metadata), inner[metadata_at:]

    def _box(self, prefix: bytes, plain: bytes) -> bytes:
        self._sent += 1
        nonce = self._sent.to_bytes(8)
        return nonce + crypto_box_afternm(plain, prefix + nonce, self._shared)

    def _opened(self, prefix: bytes, boxed: bytes) -> bytes:
        nonce, box = boxed[:8], boxed[8:]
        number = int.from_bytes(nonce)
        if len(nonce) != 8 or number <= self._seen:
            raise ProtocolError("a nonce that was used before")
        self._seen = number
        try:
            return bytes(crypto_box_open_afternm(box, prefix + nonce, self._shared))
        except CryptoError:
            raise ProtocolError("a frame that cannot be decrypted") from None
