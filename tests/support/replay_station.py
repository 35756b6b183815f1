"""A publisher that answers for what it has published, and the numbers of an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from subscribers import DEADLINE_S

from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.replay import ask

ENVELOPE = Envelope(station="garden", source="mic", boot_id="b0")


def station(folder: Path, boot_id: str = "b0", **more: Any) -> Publisher:
    named: dict[str, Any] = {
        "journal": folder / "j.db",
        "journal_max_bytes": 10**7,
        "replay_endpoint": "tcp://127.0.0.1:*",
        **more,
    }
    return Publisher("tcp://127.0.0.1:*", replace(ENVELOPE, boot_id=boot_id), **named)


def asked(publisher: Publisher, since: int, boot_id: str | None = None, prefix: str = "") -> list[int]:
    assert publisher.replay_endpoint is not None
    pages = list(ask(publisher.replay_endpoint, since, boot_id, prefix=prefix, timeout_s=DEADLINE_S))
    return [entry.seq for page in pages for entry in page.entries]
