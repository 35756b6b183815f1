from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import zmq
from click.testing import CliRunner
from sample_messages import samples
from subscribers import DEADLINE_S, PlainSubscriber, tick, until
from zmq.auth import load_certificate

from birdwatch.cli.keygen import keygen
from birdwatch.errors import ConfigError, SinkError
from birdwatch.messaging.curve import StationKeys, make_client_keys, make_server_keys
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.replay import ask
from birdwatch.messaging.subscriber import Subscriber

ENVELOPE = Envelope(station="garden", source="mic", boot_id="b0")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_server_keys(tmp_path / "keys")
    return tmp_path / "keys"


def with_keys(folder: Path) -> Any:
    """What a subscriber that knows only pyzmq does with its folder."""

    def set_up(sock: zmq.Socket[bytes]) -> None:
        sock.curve_serverkey, _ = load_certificate(folder / "server.key")
        sock.curve_publickey, secret = load_certificate(folder / "client.key_secret")
        assert secret is not None
        sock.curve_secretkey = secret

    return set_up


def test_only_clients_with_a_key_receive(keys: Path, tmp_path: Path) -> None:
    friend = make_client_keys(keys, "kitchen-pc")
    make_server_keys(tmp_path / "other")
    shutil.copy(keys / "server.key", tmp_path / "other" / "server.key")
    stranger = make_client_keys(tmp_path / "other", "stranger")
    with (
        Publisher("tcp://127.0.0.1:*", ENVELOPE, keys=keys) as publisher,
        PlainSubscriber(publisher.endpoint, set_up=with_keys(friend)) as inside,
        PlainSubscriber(publisher.endpoint) as plain,
        PlainSubscriber(publisher.endpoint, set_up=with_keys(stranger)) as outside,
    ):
        until(lambda: publisher.subscriptions >= 1, lambda: (publisher.poll(), inside.socket.poll(5)))
        for _ in range(5):
            publisher.publish(samples()[0])
        assert [inside.receive()["seq"] for _ in range(5)] == [1, 2, 3, 4, 5]
        publisher.poll()
        assert publisher.subscriptions == 1
        assert plain.receives_nothing(0.1)
        assert outside.receives_nothing(0.1)


def test_a_new_key_is_accepted_after_a_reload(keys: Path) -> None:
    with Publisher("tcp://127.0.0.1:*", ENVELOPE, keys=keys) as publisher:
        late = make_client_keys(keys, "late")
        publisher.reload_keys()
        with PlainSubscriber(publisher.endpoint, set_up=with_keys(late)) as subscriber:
            until(lambda: publisher.subscriptions == 1, lambda: (publisher.poll(), subscriber.socket.poll(5)))
        until(lambda: publisher.subscriptions == 0, lambda: (publisher.poll(), tick()))
        (keys / "clients" / "bad.key").write_text("rubbish")
        with pytest.raises(ConfigError):
            publisher.reload_keys()
        with PlainSubscriber(publisher.endpoint, "birdwatch/1/gap/", set_up=with_keys(late)) as subscriber:
            until(lambda: publisher.subscriptions == 1, lambda: (publisher.poll(), subscriber.socket.poll(5)))
            publisher.publish(samples()[3])
            assert subscriber.receive()["kind"] == "gap"


def test_replay_has_the_same_door(keys: Path, tmp_path: Path) -> None:
    friend = make_client_keys(keys, "kitchen-pc")
    with Publisher(
        "tcp://127.0.0.1:*",
        ENVELOPE,
        keys=keys,
        journal=tmp_path / "j.db",
        journal_max_bytes=10**6,
        replay_endpoint="tcp://127.0.0.1:*",
    ) as publisher:
        publisher.publish(samples()[0])
        assert publisher.replay_endpoint is not None
        (page,) = ask(publisher.replay_endpoint, 0, keys=friend, timeout_s=DEADLINE_S)
        assert [entry.seq for entry in page.entries] == [1]
        with pytest.raises(SinkError, match="if it has keys, does it accept yours"):
            list(ask(publisher.replay_endpoint, 0, timeout_s=0.2))


def test_our_own_subscriber_uses_keys(keys: Path) -> None:
    friend = make_client_keys(keys, "kitchen-pc")
    with (
        Publisher("tcp://127.0.0.1:*", ENVELOPE, keys=keys) as publisher,
        Subscriber(publisher.endpoint, keys=friend) as subscriber,
    ):
        until(lambda: publisher.subscriptions == 1, lambda: (publisher.poll(), subscriber.receive(0.005)))
        publisher.publish(samples()[0])
        assert subscriber.receive(DEADLINE_S) is not None


def test_keys_open_an_endpoint_to_others(keys: Path) -> None:
    with Publisher("tcp://0.0.0.0:*", ENVELOPE, keys=keys) as publisher:
        assert publisher.endpoint.startswith("tcp://0.0.0.0:")


def test_secrets_can_be_read_by_their_owner_alone(keys: Path) -> None:
    parcel = make_client_keys(keys, "pc")
    for path in (keys / "server.key_secret", parcel / "client.key_secret"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(parcel.stat().st_mode) == 0o700
    assert b"secret-key" not in (keys / "clients" / "pc.key").read_bytes()
    assert b"secret-key" not in (parcel / "server.key").read_bytes()


def test_a_secret_that_others_can_read_is_refused(keys: Path) -> None:
    (keys / "server.key_secret").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        Publisher("tcp://127.0.0.1:*", ENVELOPE, keys=keys)


def test_systemd_may_hand_the_secret_over(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").mkdir()
    (keys / "server.key_secret").rename(tmp_path / "credentials" / "server.key_secret")
    with pytest.raises(ConfigError, match="no keys"):
        Publisher("tcp://127.0.0.1:*", ENVELOPE, keys=keys)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    Publisher("tcp://127.0.0.1:*", ENVELOPE, keys=keys).close()


@pytest.mark.parametrize("lost", ["server.key_secret", "clients"])
def test_a_folder_that_lacks_something_is_named(keys: Path, lost: str) -> None:
    path = keys / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ConfigError, match="birdwatch keygen"):
        Publisher("tcp://127.0.0.1:*", ENVELOPE, keys=keys)


def test_rubbish_among_the_keys_is_named(keys: Path) -> None:
    (keys / "clients" / "bad.key").write_text("rubbish")
    with pytest.raises(ConfigError, match=r"bad\.key"):
        Publisher("tcp://127.0.0.1:*", ENVELOPE, keys=keys)
    (keys / "server.key_secret").write_text("rubbish")
    with pytest.raises(ConfigError, match="No public key found"):
        Publisher("tcp://127.0.0.1:*", ENVELOPE, keys=keys)


def test_the_command_makes_keys_and_never_replaces_any(tmp_path: Path) -> None:
    runner, folder = CliRunner(), str(tmp_path / "k")
    early = runner.invoke(keygen, [folder, "--client", "pc"])
    assert isinstance(early.exception, ConfigError)
    assert runner.invoke(keygen, [folder]).exit_code == 0
    assert runner.invoke(keygen, [folder, "--client", "pc", "--client", "phone"]).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "k" / "clients").iterdir()) == ["pc.key", "phone.key"]
    for again in ([folder], [folder, "--client", "pc"]):
        assert "exists" in str(runner.invoke(keygen, again).exception)
    for name in ("", "../x", ".hidden", "a\nb"):
        assert isinstance(runner.invoke(keygen, [folder, "--client", name]).exception, ConfigError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_a_device_and_too_much_among_the_keys_are_refused_at_once(keys: Path) -> None:
    station = StationKeys(keys)
    path = keys / "clients" / "odd.key"
    makers = (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.write_text("x\n" * 10**6))
    for make in makers:
        make(path)
        with pytest.raises(ConfigError, match=r"odd\.key"):
            station.clients()
        path.unlink()
    assert station.clients() == frozenset()
