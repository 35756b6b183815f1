"""CURVE against libzmq's client in test_curve; here what a client must not get away with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_box, crypto_box_afternm, crypto_box_beforenm, crypto_box_open
from nacl.public import PrivateKey

from birdwatch.messaging.curve_handshake import CurveMechanism
from birdwatch.messaging.zmtp import ProtocolError

STATION, CLIENT = PrivateKey.generate(), PrivateKey.generate()


def server(*allowed: bytes) -> CurveMechanism:
    mechanism = CurveMechanism(bytes(STATION.public_key), bytes(STATION), lambda key: key in allowed)
    assert mechanism.begin(b"properties") is None
    return mechanism


class Client:
    """The client's end, written from the specification."""

    def __init__(self) -> None:
        self.own = PrivateKey.generate()
        self.sent = 0

    def nonce(self) -> bytes:
        self.sent += 1
        return self.sent.to_bytes(8, "big")

    def hello(self) -> bytes:
        nonce = self.nonce()
        box = crypto_box(bytes(64), b"CurveZMQHELLO---" + nonce, bytes(STATION.public_key), bytes(self.own))
        return b"\x05HELLO\x01\x00" + bytes(72) + bytes(self.own.public_key) + nonce + box

    def initiate(self, welcome: bytes, *, key: PrivateKey = CLIENT, vouched: bytes | None = None) -> bytes:
        inner = crypto_box_open(welcome[24:], b"WELCOME-" + welcome[8:24], bytes(STATION.public_key), bytes(self.own))
        self.station, cookie = inner[:32], inner[32:]
        vouch = crypto_box(
            vouched or bytes(self.own.public_key) + bytes(STATION.public_key),
            b"VOUCH---" + bytes(16),
            self.station,
            bytes(key),
        )
        self.shared = crypto_box_beforenm(self.station, bytes(self.own))
        nonce, plain = self.nonce(), bytes(key.public_key) + bytes(16) + vouch + b"metadata"
        return b"\x08INITIATE" + cookie + nonce + crypto_box_afternm(plain, b"CurveZMQINITIATE" + nonce, self.shared)

    def message(self, plain: bytes) -> bytes:
        nonce = self.nonce()
        return b"\x07MESSAGE" + nonce + crypto_box_afternm(plain, b"CurveZMQMESSAGEC" + nonce, self.shared)


def agreed() -> tuple[CurveMechanism, Client]:
    mechanism, client = server(bytes(CLIENT.public_key)), Client()
    welcome, _ = mechanism.handshake(client.hello())
    assert welcome is not None
    ready, metadata = mechanism.handshake(client.initiate(welcome))
    assert ready is not None
    assert metadata == b"metadata"
    return mechanism, client


def test_messages_pass_once_and_in_order() -> None:
    mechanism, client = agreed()
    first, second = client.message(b"\x01part"), client.message(b"\x02command")
    assert mechanism.decoded(0, first) == (1, b"part")
    assert mechanism.decoded(0, second) == (4, b"command")
    for replayed in (second, first):
        with pytest.raises(ProtocolError, match="used before"):
            mechanism.decoded(0, replayed)


def test_only_listed_keys_are_accepted() -> None:
    client, mechanism = Client(), server()
    welcome, _ = mechanism.handshake(client.hello())
    with pytest.raises(ProtocolError, match="not admitted"):
        mechanism.handshake(client.initiate(welcome or b""))


def test_a_public_key_alone_is_not_enough() -> None:
    """Somebody who knows an allowed public key and has no secret of it."""
    mechanism, client, thief = server(bytes(CLIENT.public_key)), Client(), PrivateKey.generate()
    welcome, _ = mechanism.handshake(client.hello())
    honest = client.initiate(welcome or b"", key=thief)
    nonce = client.nonce()
    vouch = crypto_box(
        bytes(client.own.public_key) + bytes(STATION.public_key), b"VOUCH---" + bytes(16), client.station, bytes(thief)
    )
    plain = bytes(CLIENT.public_key) + bytes(16) + vouch + b"metadata"
    forged = honest[:105] + nonce + crypto_box_afternm(plain, b"CurveZMQINITIATE" + nonce, client.shared)
    with pytest.raises(ProtocolError, match="cannot be decrypted"):
        mechanism.handshake(forged)


def test_a_vouch_for_another_connection_is_refused() -> None:
    mechanism, client = server(bytes(CLIENT.public_key)), Client()
    welcome, _ = mechanism.handshake(client.hello())
    with pytest.raises(ProtocolError, match="another connection"):
        mechanism.handshake(client.initiate(welcome or b"", vouched=bytes(64)))


def test_a_cookie_of_another_connection_is_refused() -> None:
    client, other = Client(), server(bytes(CLIENT.public_key))
    welcome, _ = server(bytes(CLIENT.public_key)).handshake(client.hello())
    other.handshake(Client().hello())
    with pytest.raises(ProtocolError, match="another cookie"):
        other.handshake(client.initiate(welcome or b""))


@pytest.mark.fuzz
@given(st.binary(max_size=300))
def test_rubbish_at_any_step_is_a_protocol_error(rubbish: bytes) -> None:
    with pytest.raises(ProtocolError):
        server(bytes(CLIENT.public_key)).handshake(rubbish)
    client, mechanism = Client(), server(bytes(CLIENT.public_key))
    mechanism.handshake(client.hello())
    with pytest.raises(ProtocolError):
        mechanism.handshake(rubbish)
    ready, client = agreed()
    for body in (rubbish, b"\x07MESSAGE" + rubbish):
        with pytest.raises(ProtocolError):
            ready.decoded(0, body)


@pytest.mark.fuzz
@given(st.integers(0, 199), st.integers(1, 255))
def test_a_hello_with_one_wrong_byte_is_refused(at: int, flip: int) -> None:
    hello = bytearray(Client().hello())
    hello[at] ^= flip
    mechanism = server(bytes(CLIENT.public_key))
    if 8 <= at < 80:
        mechanism.handshake(bytes(hello))  # padding, whose content the specification leaves open
        return
    with pytest.raises(ProtocolError):
        mechanism.handshake(bytes(hello))
