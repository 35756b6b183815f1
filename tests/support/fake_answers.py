"""What the invented hub answers about its season, by path of the API."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from fake_season import NOW, SPECIES, STATIONS, THINNED, WHOLE_DAYS, Season, iso

__all__ = ["NAMES", "Answers"]

NAMES = {bird.code: bird.name for bird in SPECIES}


@lru_cache(maxsize=1)
def season() -> Season:
    return Season.invented()


class Answers:
    """The season of one hub; its reviews change nothing of other hubs'."""

    def __init__(self) -> None:
        whole = season()
        self.season = Season([dict(event) for event in whole.events], whole.listened, whole.gaps)
        self.by_id = {event["id"]: event for event in self.season.events}

    def stations(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "endpoint": f"tcp://10.0.0.{number}:5570",
                "state": state,
                "boot_id": "3f0c6a",
                "version": "0.9.0",
                "model": "BirdNET V2.4",
                "latency_p95_ms": 118.0 + 40 * number if level else None,
                "level_dbfs": level,
                "last_seen_utc": iso(NOW - timedelta(seconds=2 if level else 31400)),
                "lat": lat,
                "lon": lon,
                "dropped": 0 if level else 12,
                "unreadable": 0,
            }
            for number, (name, (state, level, lat, lon)) in enumerate(STATIONS.items(), 7)
        ]

    def today(self, query: dict[str, str]) -> dict[str, Any]:
        zone = ZoneInfo(query.get("tz", "UTC"))
        day = query.get("day") or NOW.astimezone(zone).date().isoformat()
        station = query.get("station")
        listened = [0.0] * 24
        for (name, at), seconds in self.season.listened.items():
            local = datetime.fromtimestamp(at, zone)
            if local.date().isoformat() == day and station in (None, "", name):
                listened[local.hour] += seconds
        rows: dict[str, dict[str, Any]] = {}
        for event in self.season.events:
            local = datetime.fromisoformat(event["start_utc"]).astimezone(zone)
            if local.date().isoformat() != day or station not in (None, "", event["station"]):
                continue
            code = event["code"]
            new = {"comred2": "ever", "comcuc": "year", "tawowl1": "day"}.get(code)
            row = rows.setdefault(
                code, {"code": code, "name": NAMES[code], "events": [0] * 24, "total": 0, "best_score": 0.0, "new": new}
            )
            row["events"][local.hour] += 1
            row["total"] += 1
            if event["score"] > row["best_score"]:
                row["best_score"], row["best_event"] = event["score"], event["id"]
        species = sorted(rows.values(), key=lambda row: -row["total"])
        return {"day": day, "listened_s": listened, "species": species}

    def species(self, query: dict[str, str]) -> dict[str, Any]:
        counts = Counter(event["code"] for event in self.season.events)
        first = {event["code"]: event["start_utc"] for event in self.season.events}
        last = {event["code"]: event["start_utc"] for event in reversed(self.season.events)}
        words = query.get("q", "").lower()
        return {
            "species": [
                {
                    "code": bird.code,
                    "name": bird.name,
                    "scientific": bird.scientific,
                    "events": counts[bird.code],
                    "first_utc": first[bird.code],
                    "last_utc": last[bird.code],
                }
                for bird in SPECIES
                if counts[bird.code] and words in f"{bird.name} {bird.scientific}".lower()
            ]
        }

    def one_species(self, code: str) -> dict[str, Any] | None:
        bird = next((bird for bird in SPECIES if bird.code == code), None)
        if bird is None:
            return None
        mine = [event for event in self.season.events if event["code"] == code]
        starts = [datetime.fromisoformat(event["start_utc"]) for event in mine]

        def table(key: Any) -> list[tuple[Any, int, float]]:
            events: Counter[Any] = Counter()
            for start in starts:
                events[key(start)] += 1 if (NOW - start).days < WHOLE_DAYS else round(1 / THINNED)
            effort: dict[Any, float] = defaultdict(float)
            for (_, at), seconds in self.season.listened.items():
                effort[key(datetime.fromtimestamp(at, UTC))] += seconds
            return [(name, events[name], seconds) for name, seconds in sorted(effort.items())]

        weeks = table(lambda at: "{}-W{:02}".format(*at.isocalendar()[:2]))
        return {
            "code": code,
            "name": bird.name,
            "scientific": bird.scientific,
            "weeks": [{"week": name, "events": n, "listened_s": s} for name, n, s in weeks],
            "hours": [{"hour": name, "events": n, "listened_s": s} for name, n, s in table(lambda at: at.hour)],
            "best": sorted((event for event in mine if event["clip"]), key=lambda event: -event["score"])[:6],
            "stations": [
                {"name": name, "events": n} for name, n in Counter(event["station"] for event in mine).most_common()
            ],
        }

    def events(self, query: dict[str, str]) -> dict[str, Any]:
        chosen = [event for event in self.season.events if self._wanted(event, query)]
        sort = query.get("sort") or "-time"
        chosen.sort(key=lambda event: event["score" if "score" in sort else "start_utc"], reverse=sort.startswith("-"))
        first, limit = int(query.get("cursor") or 0), int(query.get("limit") or 50)
        after = first + limit
        return {"events": chosen[first:after], "next": str(after) if after < len(chosen) else None}

    @staticmethod
    def _wanted(event: dict[str, Any], query: dict[str, str]) -> bool:
        verdict = event["review"]["verdict"] if event["review"] else "none"
        return (
            query.get("station") in (None, "", event["station"])
            and query.get("species") in (None, "", event["code"])
            and event["score"] >= float(query.get("min_score") or 0)
            and query.get("review") in (None, "", verdict)
            and (query.get("from") or "") <= event["start_utc"] <= (query.get("to") or "9")
        )

    def next_review(self, query: dict[str, str]) -> dict[str, Any]:
        left = [event for event in self.season.events[:400] if self._wanted(event, query | {"review": "none"})]
        if query.get("order") == "uncertain":
            left.sort(key=lambda event: abs(event["score"] - 0.6))
        return {"event": left[0] if left else None, "left": len(left)}

    def accounting(self, name: str, query: dict[str, str]) -> dict[str, Any]:
        rows: dict[str, dict[str, Any]] = {}
        for (station, at), seconds in self.season.listened.items():
            moment = iso(datetime.fromtimestamp(at, UTC))
            if station != name or not (query.get("from") or "") <= moment < (query.get("to") or "9"):
                continue
            key = moment if query.get("step") == "hour" else moment[:10] + "T00:00:00.000Z"
            row = rows.setdefault(key, {"utc": key, "listened_s": 0.0, "gaps": {}})
            row["listened_s"] += seconds
            for reason, lost in self.season.gaps.get((station, at), {}).items():
                row["gaps"][reason] = row["gaps"].get(reason, 0) + lost
        return {"rows": [rows[key] for key in sorted(rows)]}

    def labels(self, query: dict[str, str]) -> dict[str, Any]:
        locale = query.get("locale") or "en"
        names = {bird.code: bird.german if locale == "de" else bird.name for bird in SPECIES}
        return {"locale": locale, "locales": ["de", "en"], "names": names}
