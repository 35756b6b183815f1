"""Routes of the views: stations, the day, species, labels, and what is live."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from birdwatch.audio.timestamps import zone
from birdwatch.errors import ConfigError
from birdwatch.hub.answers import answer, errors, hub_of, may_read, not_there, signed_in
from birdwatch.hub.clock import HOUR_MS, parse_iso
from birdwatch.hub.live import VISITORS
from birdwatch.hub.names import label_names
from birdwatch.hub.station_views import accounting, all_stations
from birdwatch.hub.views import all_species, one_species, today

__all__ = ["router"]

router = APIRouter(tags=["views"], dependencies=[Depends(may_read)])
Text = Annotated[str | None, Query(max_length=200)]
ZoneName = Annotated[str, Query(max_length=60)]
Name = Annotated[str, Path(max_length=200)]
# Hours of a year: more rows than that no view draws.
LONGEST_MS = {"hour": 400 * 24 * HOUR_MS, "day": 4000 * 24 * HOUR_MS}


@router.get("/stations", responses=errors(401, 403))
def list_stations(request: Request) -> Response:
    """All stations and how they are."""
    hub = hub_of(request)
    with hub.store.reading() as connection:
        found = all_stations(connection, hub.faults(), now_ms=hub.now_ms(), exact=signed_in(request))
    return answer(request, found)


@router.get("/stations/{name}/accounting", responses=errors(400, 401, 403, 404))
def station_accounting(
    request: Request,
    name: Name,
    from_: Annotated[str | None, Query(alias="from", max_length=40)] = None,
    to: Annotated[str | None, Query(max_length=40)] = None,
    step: Annotated[str, Query(pattern="^(hour|day)$")] = "hour",
) -> Response:
    """Seconds listened and lost over time; by default the last seven days."""
    hub = hub_of(request)
    to_ms = hub.now_ms() if to is None else parse_iso(to, "to")
    from_ms = to_ms - 7 * 24 * HOUR_MS if from_ is None else parse_iso(from_, "from")
    if not 0 <= to_ms - from_ms <= LONGEST_MS[step]:
        raise ConfigError(f"from .. to is not a span of {LONGEST_MS[step] // HOUR_MS // 24} days at most; ask for less")
    with hub.store.reading() as connection:
        found = accounting(connection, name.replace("\0", ""), from_ms=from_ms, to_ms=to_ms, step=step)
    if found is None:
        raise not_there(f"there is no station {name!r:.80}")
    return answer(request, found)


@router.get("/today", responses=errors(400, 401, 403))
def day(
    request: Request,
    day: Annotated[str | None, Query(max_length=10)] = None,
    tz: ZoneName = "UTC",
    station: Text = None,
) -> Response:
    """Species by hour of a day; by default today."""
    hub = hub_of(request)
    where = zone(tz)
    try:
        wanted = datetime.now(where).date() if day is None else date.fromisoformat(day)
        if not 1971 <= wanted.year <= 9000:
            raise ValueError
    except ValueError:
        raise ConfigError(f"day is {day!r:.40}, expected a day such as 2026-05-01", setting="day") from None
    station = None if station is None else station.replace("\0", "")
    with hub.store.reading() as connection:
        return answer(request, today(connection, day=wanted, tz=tz, station=station))


@router.get("/species", responses=errors(401, 403))
def list_species(request: Request, q: Text = None) -> Response:
    """All species that were ever detected, most first."""
    with hub_of(request).store.reading() as connection:
        return answer(request, all_species(connection, q))


@router.get("/species/{code}", responses=errors(400, 401, 403, 404))
def species(request: Request, code: Name, tz: ZoneName = "UTC") -> Response:
    """A species' history against effort, its best events and its stations."""
    with hub_of(request).store.reading() as connection:
        found = one_species(connection, code.replace("\0", ""), tz=tz)
    if found is None:
        raise not_there(f"{code!r:.80} was never detected")
    return answer(request, found)


@router.get("/labels", responses=errors(400, 401, 403))
def labels(
    request: Request, locale: Annotated[str | None, Query(max_length=20)] = None, every: bool = False
) -> Response:
    """Names of the species that were detected in a language that the model brings; `every`: of all its labels."""
    hub = hub_of(request)
    return answer(request, label_names(hub.store, hub.labels, locale, every=every))


@router.get("/live", responses=errors(401, 403, 503), response_class=StreamingResponse)
async def live(request: Request, station: Text = None) -> StreamingResponse:
    """Server-sent events: detection, event, status, gap, spectrum, as they come; of one station, or of all.

    503 where so many are connected that the last connections are kept for those who are signed in.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    hub = hub_of(request)
    if hub.live.listeners >= VISITORS and not signed_in(request):
        raise HTTPException(503, f"{VISITORS} are connected to live streams; try again later", {"Retry-After": "60"})
    stream = hub.live.listen(station or None)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
