"""Intended pauses of a station: its clock is not set, or its schedule is inactive."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError
from birdwatch.live.clock_sync import CLOCK_SET_NS
from birdwatch.live.schedule import parse_schedule
from birdwatch.live.source import Clock
from birdwatch.live.station import Pause

__all__ = ["pauses"]

# How exactly a schedule is kept: where the sun stands is not computed anew for every turn.
PERIOD_NS = 5_000_000_000


def pauses(settings: Settings, clock: Clock, *, live: bool) -> Callable[[], Pause | None]:
    """What `Station` asks before each turn. Raises ConfigError for a schedule that is none or that cannot be kept."""
    schedule = None
    if settings.active is not None:
        if settings.source is not None or settings.folder is not None:
            raise ConfigError("active applies to microphones and streams; a file, pipe or folder has no schedule")
        schedule = parse_schedule(settings.active, settings.lat, settings.lon)

    def pause() -> Pause | None:
        utc_ns = clock.now().utc_ns
        if utc_ns < CLOCK_SET_NS:
            # Without the time there is no schedule to keep either.
            return ("starting", "waiting for the clock to be set (wait_for_clock)") if waits else None
        if schedule is not None and not scheduled(utc_ns // PERIOD_NS):
            return "asleep", f"not active until the next span of {settings.active}"
        return None

    @lru_cache(maxsize=1)
    def scheduled(period: int) -> bool:
        return schedule is None or schedule.is_active(period * PERIOD_NS)

    waits = settings.wait_for_clock and live
    return pause
