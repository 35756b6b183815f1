"""A season of three invented stations: who sings when, and what a hub would answer about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOW", "SPECIES", "STATIONS", "THINNED", "WHOLE_DAYS", "Season", "iso"]

NOW = datetime(2026, 5, 17, 19, 42, 11, tzinfo=UTC)
DAYS = 420
# Of older days only a part is invented: the fake stays small, and its bars keep their form.
WHOLE_DAYS = 3
THINNED = 0.16


@dataclass(frozen=True, slots=True)
class Bird:
    """A species: busiest hours, songs a day at its best, first and last day of its season, of the year."""

    code: str
    name: str
    scientific: str
    german: str
    hours: tuple[int, ...]
    a_day: float
    season: tuple[int, int] = (0, 366)


SPECIES = [
    Bird("eurbla", "Eurasian Blackbird", "Turdus merula", "Amsel", (3, 4, 5, 18, 19), 74),
    Bird("eurrob1", "European Robin", "Erithacus rubecula", "Rotkehlchen", (3, 4, 19, 20), 66),
    Bird("gretit1", "Great Tit", "Parus major", "Kohlmeise", (5, 6, 7, 8, 10), 58),
    Bird("comcha", "Common Chaffinch", "Fringilla coelebs", "Buchfink", (5, 7, 9, 12, 14), 49),
    Bird("blackc1", "Eurasian Blackcap", "Sylvia atricapilla", "Mönchsgrasmücke", (4, 5, 6, 9), 44, (95, 270)),
    Bird("winwre4", "Eurasian Wren", "Troglodytes troglodytes", "Zaunkönig", (4, 6, 10, 15), 38),
    Bird("comchi1", "Common Chiffchaff", "Phylloscopus collybita", "Zilpzalp", (5, 7, 11, 16), 36, (72, 280)),
    Bird("cowpig1", "Common Wood-Pigeon", "Columba palumbus", "Ringeltaube", (4, 5, 8, 17), 33),
    Bird("sonthr1", "Song Thrush", "Turdus philomelos", "Singdrossel", (3, 4, 19, 20), 27, (30, 210)),
    Bird("houspa", "House Sparrow", "Passer domesticus", "Haussperling", (8, 9, 10, 13, 15), 24),
    Bird("comswi", "Common Swift", "Apus apus", "Mauersegler", (11, 18, 19, 20), 17, (124, 218)),
    Bird("grswoo", "Great Spotted Woodpecker", "Dendrocopos major", "Buntspecht", (6, 7, 9), 8),
    Bird("tawowl1", "Tawny Owl", "Strix aluco", "Waldkauz", (22, 23, 0, 1, 2), 7),
    Bird("comcuc", "Common Cuckoo", "Cuculus canorus", "Kuckuck", (4, 5, 6), 3, (136, 180)),
    Bird("comred2", "Common Redstart", "Phoenicurus phoenicurus", "Gartenrotschwanz", (4, 5), 1.2, (137, 250)),
]
STATIONS = {
    "garden": ("connected", -41.2, 51.48, -2.62),
    "pond": ("connected", -47.9, 51.482, -2.617),
    "wood": ("lost", None, 51.491, -2.604),
}


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


LENGTHS_S = (5.0, 5.0, 7.5, 10.0, 15.0, 22.5)


@cache
def day_of(bird: Bird) -> NDArray[np.float64]:
    """(24,): how probable each hour of the day is for a song."""
    near = [0.02 + sum(np.exp(-(((h - b + 12) % 24 - 12) ** 2) / 1.6) for b in bird.hours) for h in range(24)]
    hours = np.array(near, np.float64)
    hours /= hours.sum()
    return hours


@dataclass(slots=True)
class Season:
    """All events of DAYS days up to NOW, newest first, and what was listened."""

    events: list[dict[str, Any]] = field(default_factory=list)
    listened: dict[tuple[str, int], float] = field(default_factory=dict)
    gaps: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)

    @classmethod
    def invented(cls, seed: int = 7) -> Season:
        season = cls()
        rng = np.random.default_rng(seed)
        for name in STATIONS:
            season._listen(name, rng)
        for ago in range(DAYS):
            day = (NOW - timedelta(days=ago)).replace(hour=0, minute=0, second=0, microsecond=0)
            for bird in SPECIES:
                season._sing(bird, day, rng)
        season.events.sort(key=lambda event: event["start_utc"], reverse=True)
        for number, event in enumerate(season.events):
            event["id"] = f"3f0c6a-{len(season.events) - number}"
            event["clip"] = bool(number < 400 or event["score"] > 0.93)
            if number > 30 and rng.random() < 0.04:
                verdict = str(rng.choice(["right", "right", "right", "wrong", "unsure"]))
                event["review"] = {"verdict": verdict, "code": None, "by": "Ada", "at_utc": iso(NOW)}
        return season

    def _listen(self, name: str, rng: np.random.Generator) -> None:
        for hour in range(DAYS * 24):
            at = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hour)
            seconds, gaps = 3600.0, {}
            if name == "wood" and hour < 9:
                seconds, gaps = 0.0, {"stream-lost": 3600.0}
            elif name == "pond" and at.hour in (22, 23, 0, 1):
                seconds, gaps = 0.0, {"schedule": 3600.0}
            elif name == "garden" and (hour // 24) % 11 == 5 and 11 <= at.hour <= 13:
                gaps = {"device-lost": 3600.0 * float(rng.uniform(0.3, 1))}
            elif rng.random() < 0.03:
                gaps = {str(rng.choice(["overflow", "stall", "queue-full", "clock-step"])): float(rng.uniform(2, 400))}
            if hour > 380 * 24 or (330 * 24 > hour > 322 * 24):
                seconds, gaps = 0.0, {}
            if hour == 0:
                seconds = (NOW - at).total_seconds()
            key = (name, int(at.timestamp()))
            self.listened[key] = max(0.0, seconds - sum(gaps.values())) if seconds else 0.0
            if gaps:
                self.gaps[key] = gaps

    def _sing(self, bird: Bird, day: datetime, rng: np.random.Generator) -> None:
        of_year = day.timetuple().tm_yday
        first, last = bird.season
        if not first <= of_year <= last:
            return
        spring = 0.12 + 0.88 * np.exp(-(((of_year - 132) / 48) ** 2))
        thin = 1.0 if (NOW - day).days < WHOLE_DAYS else THINNED
        times = int(rng.poisson(bird.a_day * spring * thin))
        hours, places = rng.choice(24, times, p=day_of(bird)), rng.choice(list(STATIONS), times, p=[0.55, 0.3, 0.15])
        for hour, place in zip(hours, places, strict=True):
            start = day + timedelta(hours=int(hour), seconds=float(rng.uniform(0, 3600)))
            station = str(place)
            key = (station, int(start.replace(minute=0, second=0, microsecond=0).timestamp()))
            if start > NOW - timedelta(seconds=20) or not self.listened.get(key):
                continue
            seconds = LENGTHS_S[int(rng.integers(len(LENGTHS_S)))]
            self.events.append(
                {
                    "station": station,
                    "code": bird.code,
                    "name": bird.name,
                    "start_utc": iso(start),
                    "end_utc": iso(start + timedelta(seconds=seconds)),
                    "score": round(float(1 - min(0.62, rng.gamma(1.4, 0.1))), 3),
                    "clip": True,
                    "review": None,
                }
            )
