"""The live loop: keeps the sources of all stations open, scores their audio on one model, reports their states.

One thread captures and publishes, in turns of a quarter of a second at most; a test runs a week of turns with a clock
of its own. Nothing here sleeps but the read of a single source, or `pause` where there are several.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from birdwatch.errors import BirdwatchError, SourceError
from birdwatch.live.outputs import Systemd
from birdwatch.live.scheduler import Scheduler
from birdwatch.live.source import Clock
from birdwatch.live.station import Outcome, Station
from birdwatch.messaging.messages import State

__all__ = ["Daemon"]

log = logging.getLogger(__name__)

TURN_S = 0.25
# Between two turns over several sources where none had anything: a twentieth of the latency that is aimed at.
TICK_S = 0.025
# With many of them longer, so that looking at all of them stays a small part of a core.
TICK_PER_STATION_S, MAX_TICK_S = 0.00025, 0.05
# Maximum time at the end for scoring waiting windows.
FLUSH_S = 3.0

# Of why a reload was refused, in a status; the log has all of it.
MAX_REFUSED = 2000

# The state of several stations is that of the one that needs attention most.
URGENCY: tuple[State, ...] = ("waiting-device", "degraded", "starting", "listening", "asleep", "stopping")


class Daemon:
    """Runs stations until it is told to `stop` or all of their sources have ended.

    stations: those that run now; a reload may change the list. poll: lets the publisher do what came up. reload:
    applies a changed configuration and says what changed; raises ConfigError and changes nothing where it is refused.
    on_turn: is called after each turn (a display). pause: waits that many seconds.
    """

    def __init__(
        self,
        stations: Callable[[], Sequence[Station]],
        scheduler: Scheduler,
        systemd: Systemd,
        clock: Clock,
        *,
        poll: Callable[[], None],
        reload: Callable[[], str] = lambda: "nothing to reload",
        on_turn: Callable[[], None] = lambda: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._stations = stations
        self._scheduler = scheduler
        self._systemd = systemd
        self._clock = clock
        self._poll = poll
        self._reload = reload
        self._on_turn = on_turn
        self._pause = pause
        # Two, each set by its signal, whenever that comes; the first is never taken back.
        self._stop_wanted = self._reload_wanted = False
        self._ready = False
        self._last_line: str | None = None

    @property
    def state(self) -> State:
        """Of the station that needs attention most."""
        return min((station.state for station in self._stations()), key=URGENCY.index, default="starting")

    @property
    def line(self) -> str:
        """The state in one line, for systemd: of the only station, or how many listen and what is wrong elsewhere."""
        stations = self._stations()
        if len(stations) == 1:
            return stations[0].line
        well = [station for station in stations if station.state in ("listening", "asleep")]
        others = "".join(f"; {station.name} {station.line}" for station in stations if station not in well)
        return f"{self.state}: {len(well)} of {len(stations)} stations are well{others}"

    def stop(self) -> None:
        """End after this turn; safe in a signal handler."""
        self._stop_wanted = True

    def reload(self) -> None:
        """Read the configuration again in the next turn; safe in a signal handler."""
        self._reload_wanted = True

    def run(self) -> None:
        """Take turns until the end, and flush. Raises SourceError where the only file breaks off or a library hangs."""
        try:
            while self.turn():
                pass
        finally:
            self.finish()

    def turn(self) -> bool:
        """Read, score and publish once; False when there is no more to do."""
        if self._reload_wanted and not self._stop_wanted:
            self._reload_wanted = False
            self._apply_reload()
        stations = self._stations()
        progress = self._capture(stations)
        self._score(stations)
        self._poll()
        for station in stations:
            station.tell()
        self._tell_systemd()
        # Notified only after work, so that systemd restarts a loop that hangs, or a network that always fails.
        if progress and not self._scheduler.failing:
            self._systemd.progress()
        self._on_turn()
        return not self._stop_wanted and not all(station.ended for station in stations)

    def finish(self) -> None:
        """Score what waits while there is time, end what is open, publish the last statuses."""
        stations = self._stations()
        self._systemd.stopping("stopping")
        for station in stations:
            station.stop()
        until = self._now() + FLUSH_S
        while self._unscored(stations) and (self._now() < until or not any(s.source.live for s in stations)):
            self._scheduler.turn(stations)
            self._scheduler.wait(0.1)
        for station in stations:
            station.finish()

    def _capture(self, stations: Sequence[Station]) -> bool:
        """Take what the sources have; True when anything moved, or nothing had to."""
        if len(stations) == 1:
            outcome = stations[0].capture(0.0 if stations[0].listener.waiting else TURN_S)
            if outcome == "idle":
                self._pause(TURN_S)
            return outcome != "waited"
        outcomes = {self._captured(station) for station in stations}
        if "moved" not in outcomes:
            self._pause(min(max(TICK_S, len(stations) * TICK_PER_STATION_S), MAX_TICK_S))
        return outcomes != {"waited"}

    def _captured(self, station: Station) -> Outcome:
        try:
            return station.capture(0.0)
        except SourceError as error:
            station.fail(str(error))
            return "moved"

    def _score(self, stations: Sequence[Station]) -> None:
        """Score a batch; all there is where a source waits for us."""
        self._scheduler.turn(stations)
        while len(stations) == 1 and stations[0].listener.queued and not stations[0].source.live:
            self._scheduler.turn(stations)

    def _unscored(self, stations: Sequence[Station]) -> bool:
        return any(station.listener.waiting for station in stations)

    def _tell_systemd(self) -> None:
        """The state in one line; READY once it is a declared one."""
        if self.line != self._last_line:
            self._last_line = self.line
            self._systemd.status(self.line)
        if not self._ready and all(station.state != "starting" or station.reason for station in self._stations()):
            self._ready = True
            self._systemd.ready(self.line)

    def _apply_reload(self) -> None:
        self._systemd.reloading()
        refused: str | None = None
        try:
            log.warning("configuration reloaded: %s", self._reload())
        except BirdwatchError as error:
            log.error("configuration not reloaded, the old one stays in force: %s", error)
            refused = str(error)[:MAX_REFUSED]
        except Exception as error:
            # Unexpected errors are caught, since no configuration file may end a station that listens.
            log.exception("configuration not reloaded")
            refused = f"{type(error).__name__}: {error}"[:MAX_REFUSED]
        for station in self._stations():
            station.reloaded(refused)
        self._systemd.ready(self.line)

    def _now(self) -> float:
        # Time that the machine slept is not a delay.
        return self._clock.now().awake_ns / 1e9
