from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import zmq
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sample_messages import samples, status_message
from subscribers import until

from birdwatch.cli import tail as module
from birdwatch.cli.lines import line_of
from birdwatch.cli.tail import tail
from birdwatch.errors import ConfigError
from birdwatch.messaging.messages import Envelope, Message, frames
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.subscriber import Subscriber

ENVELOPE = Envelope("garden", "mic", "b0")

_leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_field = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
)
# Messages of each kind, some of whose fields are something else.
_values = st.builds(
    lambda message, changes: {**json.loads(frames(message, ENVELOPE, seq=1, sent_ns=0)[1]), **changes},
    st.sampled_from(samples()),
    st.dictionaries(
        st.sampled_from(["kind", "start", "sent", "station", "score", "common_name", "windows", "latency_ms", "end_s"]),
        _field,
        max_size=3,
    ),
)


@contextmanager
def talking() -> Iterator[str]:
    """A station that says everything it can say, again and again, in a thread of its own."""
    ended, ready, endpoints = threading.Event(), threading.Event(), list[str]()

    def run() -> None:
        with Publisher("tcp://127.0.0.1:*", ENVELOPE) as publisher:
            endpoints.append(publisher.endpoint)
            ready.set()
            while not ended.wait(0.01):
                publisher.poll()
                for message in samples():
                    publisher.publish(message)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(20)
        yield endpoints[0]
    finally:
        ended.set()
        thread.join()


def test_it_shows_a_line_for_each_message() -> None:
    with talking() as endpoint:
        result = CliRunner().invoke(tail, [endpoint, "--count", "10"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 10
    assert any(line.endswith("garden  detection  0.90  House Sparrow") for line in lines)


def test_json_is_what_was_sent_and_topics_choose() -> None:
    with talking() as endpoint:
        words = [endpoint, "--json", "--count", "4", "--topic", "birdwatch/1/gap/", "--topic", "birdwatch/1/event/"]
        result = CliRunner().invoke(tail, words)
    values = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(values) == 4
    assert {value["kind"] for value in values} <= {"gap", "event"}
    assert all(value["schema"] == "birdwatch/1" for value in values)


def test_silence_is_explained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.01)
    received = iter([None, None, frames(status_message(), ENVELOPE, seq=1, sent_ns=0)])
    monkeypatch.setattr(module.Subscriber, "receive", lambda self, timeout_s: next(received))
    result = CliRunner().invoke(tail, ["tcp://127.0.0.1:9", "--count", "1"])
    assert result.stderr.count("nothing received from tcp://127.0.0.1:9; is the station running") == 1
    assert "listening, USB Mic" in result.stdout


def test_what_is_no_endpoint_is_refused() -> None:
    assert isinstance(CliRunner().invoke(tail, ["garden"]).exception, ConfigError)


@pytest.mark.parametrize("ending", ["interrupt", "closed pipe"])
def test_it_ends_quietly(ending: str) -> None:
    with (
        talking() as endpoint,
        subprocess.Popen(
            [sys.executable, "-m", "birdwatch", "tail", endpoint, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        if ending == "interrupt":
            process.send_signal(signal.SIGINT)
            while process.stdout.read(65536):
                pass
        else:
            process.stdout.close()
        until(lambda: process.poll() is not None, lambda: threading.Event().wait(0.01))
        assert process.stderr.read() == b""
        assert process.returncode == (0 if ending == "interrupt" else 1)


def text_of(message: Message, **changes: object) -> str:
    value = json.loads(frames(message, ENVELOPE, seq=1, sent_ns=0, more={"last_seq": 0, **changes})[1])
    return line_of(json.dumps(value).encode())


def test_lines_of_all_kinds() -> None:
    assert [text_of(message).split("  ", 3)[3].lstrip() for message in samples()] == [
        "0.90  House Sparrow",
        "0.90  House Sparrow, 7.5 s in 2 windows",
        "garden-1: houspa in 1 windows",
        "0.500 s lost: overflow",
        "listening, USB Mic, CPUExecutionProvider, 0 windows, 0 detections",
    ]
    assert text_of(samples()[0], common_name="", scientific_name="").endswith("0.90  houspa")
    assert text_of(samples()[4], state="waiting-device", device=None, reason="unplugged").endswith(
        "waiting-device, no device, CPUExecutionProvider (unplugged), 0 windows, 0 detections"
    )


def test_a_newer_kind_is_still_a_line() -> None:
    assert text_of(Message("weather", "-", {})).endswith("(a newer kind of message)")  # type: ignore[arg-type]


@pytest.mark.fuzz
@given(st.binary() | st.text().map(str.encode) | _values.map(lambda value: json.dumps(value).encode()))
def test_whatever_a_station_sends_is_one_harmless_line(body: bytes) -> None:
    line = line_of(body)
    assert line.isprintable()


def test_a_name_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in text_of(samples()[0], common_name="\x1b[2J\x07")


def test_a_message_of_other_parts_is_passed_over() -> None:
    with zmq.Context() as context, context.socket(zmq.PUB) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        with Subscriber(f"tcp://127.0.0.1:{port}", ("",)) as subscriber:

            def step() -> None:
                other.send_multipart([b"a", b"b", b"c"])
                subscriber.receive(0.01)
                other.send_multipart([b"topic", b"{}"])

            until(lambda: subscriber.receive(0.01) == (b"topic", b"{}"), step)
