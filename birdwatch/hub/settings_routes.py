"""Routes of the settings: detection thresholds of stations on this machine."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from birdwatch.hub.answers import answer, errors, hub_of, may_read, may_write, signed_in

__all__ = ["router"]

router = APIRouter(tags=["settings"])
Station = Annotated[str, Query(max_length=200)]
Score = Annotated[float, Field(gt=0, le=1)]
Code = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Wanted(BaseModel):
    """Thresholds: `default` of all classes (null: the model's own), `classes` that differ, by code."""

    model_config = ConfigDict(extra="forbid")
    default: Score | None
    classes: Annotated[dict[Code, Score], Field(max_length=5000)]


@router.get("/settings/thresholds", dependencies=[Depends(may_read)], responses=errors(401, 403))
def thresholds(request: Request, station: Station = "") -> Response:
    """Detection thresholds of a station, where its configuration is on this machine; `why` it is not."""
    found = hub_of(request).thresholds.read(station)
    if not signed_in(request):
        # Paths on this machine are not public.
        found = {**found, "writable": False, "why": "sign in to change thresholds"}
    return answer(request, found)


@router.put("/settings/thresholds", dependencies=[Depends(may_write)], responses=errors(400, 401, 403))
def change_thresholds(request: Request, body: Wanted, station: Station = "") -> Response:
    """Change them in the station's file and have it read; answers once they are in force; 400: the old ones are."""
    classes = {code: round(value, 4) for code, value in body.classes.items()}
    default = None if body.default is None else round(body.default, 4)
    return answer(request, hub_of(request).thresholds.write(station, default, classes))
