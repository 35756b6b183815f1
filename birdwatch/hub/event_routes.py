"""Routes of events, their clips and their reviews."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import FileResponse

from birdwatch.errors import SinkError
from birdwatch.hub.answers import answer, errors, hub_of, may_read, may_write, not_there
from birdwatch.hub.clock import parse_iso
from birdwatch.hub.event_views import EventQuery, Order, Review, Sort, next_to_review, one_event, page_of_events, review

__all__ = ["router"]

router = APIRouter(tags=["events"])
Number = Annotated[int, Path(ge=1, lt=2**62)]
Text = Annotated[str | None, Query(max_length=200)]


class Verdict(BaseModel):
    """A person's verdict. code: for `other`, a label of the model or the code of a detected species. by: a name."""

    model_config = ConfigDict(extra="forbid")
    verdict: Annotated[str, Field(pattern="^(right|wrong|other|unsure)$")]
    code: Annotated[str | None, Field(max_length=100, pattern=r"^[^\x00]*$")] = None
    by: Annotated[str | None, Field(max_length=100, pattern=r"^[^\x00]*$")] = None


@router.get("/events", dependencies=[Depends(may_read)], responses=errors(400, 401, 403))
def list_events(
    request: Request,
    from_: Annotated[str | None, Query(alias="from", max_length=40)] = None,
    to: Annotated[str | None, Query(max_length=40)] = None,
    station: Text = None,
    species: Text = None,
    min_score: Annotated[float | None, Query(ge=0, le=1)] = None,
    review: Review | None = None,
    sort: Sort = "-time",
    cursor: Text = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """A page of events; `next` is the cursor of the page behind it, null at the end."""
    query = EventQuery(
        None if from_ is None else parse_iso(from_, "from"),
        None if to is None else parse_iso(to, "to"),
        _clean(station),
        _clean(species),
        min_score,
        review,
        sort,
        cursor,
        limit,
    )
    with hub_of(request).store.reading() as connection:
        return answer(request, page_of_events(connection, query))


@router.get("/events/{number}", dependencies=[Depends(may_read)], responses=errors(401, 403, 404))
def event(request: Request, number: Number) -> Response:
    """One event."""
    with hub_of(request).store.reading() as connection:
        found = one_event(connection, number)
    if found is None:
        raise not_there(f"there is no event {number}")
    return answer(request, found)


@router.get("/events/{number}/clip", dependencies=[Depends(may_read)], responses=errors(401, 403, 404, 416))
def clip(request: Request, number: Number) -> Response:
    """The sound of an event, FLAC, in ranges."""
    try:
        path = hub_of(request).clips.path(number)
    except SinkError as error:
        raise not_there(str(error)) from None
    return FileResponse(path, media_type="audio/flac", headers={"Cache-Control": "private, max-age=86400"})


@router.get("/events/{number}/picture", dependencies=[Depends(may_read)], responses=errors(401, 403, 404))
def picture(request: Request, number: Number) -> Response:
    """The spectrogram of an event's clip, PNG."""
    try:
        content = hub_of(request).clips.picture(number)
    except SinkError as error:
        raise not_there(str(error)) from None
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=86400"})


@router.get("/review/next", dependencies=[Depends(may_read)], responses=errors(401, 403))
def review_next(request: Request, order: Order = "uncertain", species: Text = None, station: Text = None) -> Response:
    """The event to review next, and how many are left."""
    with hub_of(request).store.reading() as connection:
        return answer(request, next_to_review(connection, order, code=_clean(species), station=_clean(station)))


@router.post("/events/{number}/review", dependencies=[Depends(may_write)], responses=errors(400, 401, 403, 404))
def give_review(request: Request, number: Number, body: Verdict) -> Response:
    """Give an event a verdict; answers the event."""
    hub = hub_of(request)
    verdict: Review = body.verdict  # type: ignore[assignment]
    found = review(
        hub.store,
        number,
        verdict=verdict,
        code=body.code,
        by=body.by,
        now_ms=hub.now_ms(),
        labels=hub.labels.read,
    )
    if found is None:
        raise not_there(f"there is no event {number}")
    return answer(request, found)


@router.delete("/events/{number}/review", dependencies=[Depends(may_write)], responses=errors(401, 403, 404))
def take_review_back(request: Request, number: Number) -> Response:
    """Take the verdict back; answers the event."""
    hub = hub_of(request)
    found = review(hub.store, number, verdict=None, code=None, by=None, now_ms=hub.now_ms())
    if found is None:
        raise not_there(f"there is no event {number}")
    return answer(request, found)


def _clean(text: str | None) -> str | None:
    """Text that a database can compare."""
    return None if text is None else text.replace("\0", "\N{REPLACEMENT CHARACTER}")
