"""The hub object that the routes use: store, readers, live streams, clips and access."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birdwatch.hub.access import Access
from birdwatch.hub.clips import Clips
from birdwatch.hub.intake import Intake
from birdwatch.hub.live import Live
from birdwatch.hub.model_labels import ModelLabels
from birdwatch.hub.origin import Origin
from birdwatch.hub.retention import CLIPS_MAX_GB, DETAILS_MAX_DAYS
from birdwatch.hub.spectra import Spectra
from birdwatch.hub.store import Store
from birdwatch.hub.thresholds import Thresholds
from birdwatch.hub.upkeep import Upkeep

__all__ = ["Hub", "HubSettings"]


@dataclass(frozen=True, slots=True)
class HubSettings:
    """How a hub is run.

    public: all may look, only users who signed in may change. hosts: names under which browsers may call it, beside
    loopback's, while no password is set. model: whose labels and their languages the page offers; None: the built-in
    one's labels. details_max_days: of detections, recordings and statuses; 0: no limit.
    """

    origins: tuple[Origin, ...]
    state_folder: Path
    store_url: str
    public: bool = False
    hosts: tuple[str, ...] = ()
    clips_max_gb: float = CLIPS_MAX_GB
    details_max_days: float = DETAILS_MAX_DAYS
    model: Path | None = None


class Hub:
    """Everything of a running hub, from `start` to `close`."""

    def __init__(self, settings: HubSettings) -> None:
        self.settings = settings
        self.store = Store(settings.store_url)
        self.access = Access(self.store)
        self.labels = ModelLabels(settings.model)
        self.live = Live()
        self.thresholds = Thresholds(self.store, self.now_ms)
        self.intake = Intake(self.store, settings.origins, self._tell)
        self.spectra = Spectra(self.store, settings.origins, self.live)
        max_bytes = round(settings.clips_max_gb * 1e9)
        self.clips = Clips(self.store, settings.origins, settings.state_folder / "clips", max_bytes=max_bytes)
        self.upkeep = Upkeep(self.store, self.now_ms, days=settings.details_max_days)

    def start(self) -> None:
        """Begin to read."""
        self.intake.start()
        self.spectra.start()
        self.clips.start()
        self.upkeep.start()

    def close(self) -> None:
        """Store what has been read, and end."""
        self.live.close()
        self.intake.close()
        self.spectra.close()
        self.clips.close()
        self.upkeep.close()
        self.store.close()

    def faults(self) -> dict[str, str]:
        """By origin, why a station cannot be reached or asked."""
        return {reader.origin.name: reader.fault for reader in self.intake.readers if reader.fault}

    @staticmethod
    def now_ms() -> int:
        """This machine's clock."""
        return time.time_ns() // 1_000_000

    def _tell(self, kind: str, value: dict[str, Any]) -> None:
        self.live.tell(kind, value)
        if kind == "event" and value["clip"]:
            self.clips.want(value["id"])
