"""Jinja2 templates with autoescape: text from names and files is never markup."""

from __future__ import annotations

from base64 import b64encode
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["environment"]


@cache
def environment() -> Environment:
    """The environment of all templates; an unknown name in one is an error."""
    made = Environment(
        loader=PackageLoader("birdwatch.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    made.filters["score"] = _score
    made.filters["data_url"] = _data_url
    return made


def _score(score: float) -> str:
    """Two digits; nothing is certain, so nothing reads 1.00."""
    return f"{score:.2f}" if score < 0.995 else ">0.99"


def _data_url(content: tuple[str, bytes]) -> Markup:
    media_type, data = content
    # Base64 needs no escaping, which would look at megabytes.
    return Markup("data:{};base64,{}").format(media_type, Markup(b64encode(data).decode()))
