"""Events as the API shows them: filtered, sorted and paged by keys, never by counting rows."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Select, and_, func, insert, or_, select, update

from birdwatch.errors import ConfigError
from birdwatch.hub.clock import iso
from birdwatch.hub.numbers import add_species
from birdwatch.hub.schema import events, reviews, species, species_stations, stations
from birdwatch.hub.store import Store
from birdwatch.model.manifest import Label

__all__ = ["EventQuery", "next_to_review", "one_event", "page_of_events", "review", "shown"]

Sort = Literal["time", "score", "-time", "-score"]
Review = Literal["none", "right", "wrong", "other", "unsure"]
Order = Literal["uncertain", "random", "newest"]

# Sorting as many takes some milliseconds.
FEW = 20_000

_other = species.alias("verdict_species")
_SHOWN = (
    select(
        events.c.id,
        stations.c.name.label("station"),
        species.c.code,
        species.c.name,
        species.c.scientific,
        events.c.start_ms,
        events.c.end_ms,
        events.c.score,
        events.c.clip,
        events.c.verdict,
        events.c.verdict_by,
        events.c.verdict_ms,
        _other.c.code.label("verdict_code"),
    )
    .join(stations, events.c.station == stations.c.id)
    .join(species, events.c.species == species.c.id)
    .outerjoin(_other, events.c.verdict_species == _other.c.id)
)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events are wanted; times in ms. cursor: `next` of the page before."""

    from_ms: int | None = None
    to_ms: int | None = None
    station: str | None = None
    species: str | None = None
    min_score: float | None = None
    review: Review | None = None
    sort: Sort = "-time"
    cursor: str | None = None
    limit: int = 50


def shown(row: Any) -> dict[str, Any]:
    """An event as JSON."""
    verdict = None
    if row.verdict is not None:
        verdict = {
            "verdict": row.verdict,
            "code": row.verdict_code,
            "by": row.verdict_by,
            "at_utc": iso(row.verdict_ms),
        }
    return {
        "id": row.id,
        "station": row.station,
        "code": row.code,
        "name": row.name,
        "scientific": row.scientific,
        "start_utc": iso(row.start_ms),
        "end_utc": iso(row.end_ms),
        "score": row.score,
        "clip": bool(row.clip),
        "review": verdict,
    }


def page_of_events(connection: Connection, query: EventQuery) -> dict[str, Any]:
    """A page of events, and the cursor of the next one. Raises ConfigError for a cursor that is none of ours."""
    by_score = query.sort.endswith("score")
    key = _sort_key(connection, query, by_score=by_score)
    ordered_by_score = by_score and key is events.c.score
    wanted = _filtered(connection, query, at=events.c.start_ms + 0 if ordered_by_score else events.c.start_ms)
    if wanted is None:
        return {"events": [], "next": None}
    if query.min_score is not None:
        # The sum with 0 keeps a database from choosing the other index: see _sort_key.
        score = events.c.score if by_score or key is not events.c.start_ms else events.c.score + 0
        wanted = wanted.where(score >= query.min_score)
    falling = query.sort.startswith("-")
    if query.cursor is not None:
        value, number = _read_cursor(query.cursor, query.sort)
        behind = key < value if falling else key > value
        same = and_(key == value, events.c.id < number if falling else events.c.id > number)
        # The first term lets the index begin at the cursor.
        wanted = wanted.where(key <= value if falling else key >= value, or_(behind, same))
    order = (key.desc(), events.c.id.desc()) if falling else (key, events.c.id)
    found = list(connection.scalars(wanted.order_by(*order).limit(query.limit + 1)))
    rows = {row.id: row for row in connection.execute(_SHOWN.where(events.c.id.in_(found[: query.limit])))}
    page = [rows[number] for number in found[: query.limit] if number in rows]
    more = len(found) > query.limit and page
    cursor = _cursor(query.sort, page[-1]) if more else None
    return {"events": [shown(row) for row in page], "next": cursor}


def _sort_key(connection: Connection, query: EventQuery, *, by_score: bool) -> Any:
    """What to sort by, written so that the database takes the index that has to read least.

    Few events with such a score, or of such a time: it reads those and sorts them. Many: it reads in the order wanted
    until the page is full. A database guesses at this, and is wrong by seconds with millions of events.
    """
    key = events.c.score if by_score else events.c.start_ms
    if by_score:
        if query.from_ms is None and query.to_ms is None:
            return key
        few = select(events.c.start_ms)
    elif query.min_score is not None:
        few = select(events.c.score).where(events.c.score >= query.min_score)
    else:
        return key
    if query.species is not None:
        number = select(species.c.id).where(species.c.code == query.species).scalar_subquery()
        few = few.where(events.c.species == number)
    if by_score:
        low, high = query.from_ms or 0, query.to_ms if query.to_ms is not None else 2**62
        few = few.where(events.c.start_ms >= low, events.c.start_ms < high)
    count = connection.scalar(select(func.count()).select_from(few.limit(FEW).subquery())) or 0
    return key + 0 if count < FEW else key


def one_event(connection: Connection, number: int) -> dict[str, Any] | None:
    """One event, or None."""
    row = connection.execute(_SHOWN.where(events.c.id == number)).first()
    return None if row is None else shown(row)


def review(
    store: Store,
    number: int,
    *,
    verdict: Review | None,
    code: str | None,
    by: str | None,
    now_ms: int,
    labels: Callable[[], Mapping[str, Label]] = dict,
) -> dict[str, Any] | None:
    """Give an event a verdict, or with None take it back; None where there is no such event.

    code: of the other species. labels: by code, those that are accepted beside the ones that were detected. Raises
    ConfigError for any other.
    """
    with store.reading() as connection:
        detected = connection.scalar(select(species.c.id).where(species.c.code == code)) is not None
    label = None if code is None or detected else labels().get(code)
    if code is not None and not detected and label is None:
        raise ConfigError(f"code is {code!r:.60}, expected a label of the model or the code of a detected species")
    with store.writing() as connection:
        other = None
        if label is not None:
            other = add_species(connection, label.code, label.common_name, label.scientific_name)
        elif code is not None:
            other = connection.scalar(select(species.c.id).where(species.c.code == code))
        if one_event(connection, number) is None:
            return None
        gone = verdict is None
        connection.execute(
            update(events)
            .where(events.c.id == number)
            .values(
                verdict=verdict,
                verdict_species=other,
                verdict_by=None if gone else by,
                verdict_ms=None if gone else now_ms,
            )
        )
        connection.execute(insert(reviews).values(event=number, at_ms=now_ms, verdict=verdict, species=other, by=by))
        return one_event(connection, number)


def next_to_review(connection: Connection, order: Order, *, code: str | None, station: str | None) -> dict[str, Any]:
    """The event that a person should look at next, and how many have no verdict."""
    wanted = _filtered(connection, EventQuery(species=code, station=station, review="none"))
    if wanted is None:
        return {"event": None, "left": 0}
    number: int | None
    if order == "newest":
        number = connection.scalar(wanted.order_by(events.c.start_ms.desc(), events.c.id.desc()).limit(1))
    elif order == "random":
        # A random moment, and the event that follows: each of the indexes by time finds it at once.
        sums = species_stations.c
        low, high = connection.execute(select(func.min(sums.first_ms), func.max(sums.last_ms))).one()
        moment = random.randint(low or 0, high or 0)
        ordered = wanted.order_by(events.c.start_ms, events.c.id).limit(1)
        number = connection.scalar(ordered.where(events.c.start_ms >= moment))
        if number is None:
            number = connection.scalar(ordered)
    else:
        above = wanted.where(events.c.score >= 0.5).order_by(events.c.score).limit(1)
        below = wanted.where(events.c.score < 0.5).order_by(events.c.score.desc()).limit(1)
        both = [found for found in (connection.scalar(above), connection.scalar(below)) if found is not None]
        scores = {
            row.id: row.score
            for row in connection.execute(select(events.c.id, events.c.score).where(events.c.id.in_(both)))
        }
        number = min(both, key=lambda one: abs(scores[one] - 0.5), default=None)
    left = _total(connection, code, station) - _reviewed(connection, code, station)
    return {"event": None if number is None else one_event(connection, number), "left": max(0, left)}


def _filtered(connection: Connection, query: EventQuery, *, at: Any = events.c.start_ms) -> Select[Any] | None:
    """The ids wanted; None where a station or species is named that is not there. at: the time, as it is compared."""
    wanted = select(events.c.id)
    if query.station is not None:
        number = connection.scalar(select(stations.c.id).where(stations.c.name == query.station))
        if number is None:
            return None
        wanted = wanted.where(events.c.station == number)
    if query.species is not None:
        number = connection.scalar(select(species.c.id).where(species.c.code == query.species))
        if number is None:
            return None
        wanted = wanted.where(events.c.species == number)
    if query.from_ms is not None:
        wanted = wanted.where(at >= query.from_ms)
    if query.to_ms is not None:
        wanted = wanted.where(at < query.to_ms)
    if query.review == "none":
        wanted = wanted.where(events.c.verdict.is_(None))
    elif query.review is not None:
        wanted = wanted.where(events.c.verdict == query.review)
    return wanted


def _total(connection: Connection, code: str | None, station: str | None) -> int:
    wanted = select(func.coalesce(func.sum(species_stations.c.events), 0))
    if code is not None:
        wanted = wanted.join(species, species.c.id == species_stations.c.species).where(species.c.code == code)
    if station is not None:
        wanted = wanted.join(stations, stations.c.id == species_stations.c.station).where(stations.c.name == station)
    return int(connection.scalar(wanted) or 0)


def _reviewed(connection: Connection, code: str | None, station: str | None) -> int:
    wanted = select(func.count()).select_from(events).where(events.c.verdict.is_not(None))
    # The sums with 0 keep a database from reading all events of a species: few were reviewed.
    if code is not None:
        number = select(species.c.id).where(species.c.code == code).scalar_subquery()
        wanted = wanted.where(events.c.species + 0 == number)
    if station is not None:
        number = select(stations.c.id).where(stations.c.name == station).scalar_subquery()
        wanted = wanted.where(events.c.station + 0 == number)
    return int(connection.scalar(wanted) or 0)


def _cursor(sort: Sort, row: Any) -> str:
    value = row.score if sort.endswith("score") else row.start_ms
    return base64.urlsafe_b64encode(json.dumps([sort, value, row.id]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, sort: Sort) -> tuple[float, int]:
    try:
        made_for, value, number = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        fits = made_for == sort and isinstance(value, int | float) and isinstance(number, int)
        if not fits or not abs(value) < 2**62 or not abs(number) < 2**62:
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise ConfigError(f"cursor is {cursor!r:.60}, expected `next` of a page with the same sort") from None
    return value, number
