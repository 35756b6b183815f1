"""What docs/messages.md tells authors of subscribers is true: its code runs, its fields are those of the schemas."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sample_messages import samples
from subscribers import until

from birdwatch.messaging.messages import KINDS, Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.schemas import schema

TEXT = (Path(__file__).parents[1] / "docs" / "messages.md").read_text()


def code(containing: str) -> str:
    (found,) = (block for block in re.findall(r"```python\n(.*?)```", TEXT, re.S) if containing in block)
    return str(found)


def test_the_first_subscriber_is_ten_lines() -> None:
    assert len([line for line in code("zmq.SUB").splitlines() if line]) <= 10


def test_the_first_subscriber_receives() -> None:
    with Publisher("tcp://127.0.0.1:*", Envelope("garden", "mic", "b0")) as publisher:
        program = code("zmq.SUB").replace("tcp://127.0.0.1:5570", publisher.endpoint)
        with subprocess.Popen([sys.executable, "-uc", program], stdout=subprocess.PIPE, text=True) as process:
            try:
                until(lambda: publisher.subscriptions == 1, lambda: (publisher.poll(), threading.Event().wait(0.01)))
                publisher.publish(samples()[0])
                assert process.stdout is not None
                assert process.stdout.readline() == "2025-05-01T04:12:03.250Z House Sparrow 0.9\n"
            finally:
                process.kill()


def test_the_question_gets_all_that_was_sent(tmp_path: Path) -> None:
    with Publisher(
        "tcp://127.0.0.1:*",
        Envelope("garden", "mic", "b0"),
        journal=tmp_path / "j.db",
        journal_max_bytes=10**7,
        replay_endpoint="tcp://127.0.0.1:*",
    ) as publisher:
        for _ in range(600):
            publisher.publish(samples()[3])
        program = code("zmq.REQ").replace("tcp://127.0.0.1:5571", publisher.replay_endpoint or "")
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == [f"{seq} birdwatch/1/gap/garden/-/" for seq in range(1, 601)]


@pytest.mark.parametrize("kind", [*KINDS, "spectrum"])
def test_every_field_is_described(kind: str) -> None:
    common = TEXT.split("## Fields of every message")[1].split("## The kinds")[0]
    own = TEXT.split(f"**`{kind}`**")[1].split("\n\n")[0]
    described = set(re.findall(r"`([a-z_0-9]+)`", common + own))
    wanted = set(schema(kind)["properties"])
    for part in schema(kind)["properties"].values():
        wanted |= set(part.get("properties", {})) | set(part.get("enum", []))
    assert {name for name in wanted if "-" not in name} <= described
    assert all(f"`{name}`" in own for name in wanted if "-" in name)
