"""Makes the source of a station from its settings."""

from __future__ import annotations

import sys

from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError
from birdwatch.live.channels import SharedSource
from birdwatch.live.microphone import Microphone
from birdwatch.live.recorded import PipeSource, RecordedSource
from birdwatch.live.source import Clock, Source
from birdwatch.live.stream import NetworkStream

__all__ = ["STDIN", "channel_of", "is_whole_recording", "make_source", "only_place"]

STDIN = "-"


def make_source(settings: Settings, clock: Clock) -> Source:
    """The source, not yet open. Raises ConfigError for a contradiction, SourceError where it cannot be had."""
    only_place(settings)
    if settings.channel == "each" and is_whole_recording(settings):
        raise ConfigError(
            "channel is each, which applies to live sources; use `birdwatch run --channel each` for files"
        )
    source = _one_source(settings, clock)
    return SharedSource(source) if settings.channel == "each" else source


def _one_source(settings: Settings, clock: Clock) -> Source:
    if settings.url is not None:
        return NetworkStream(settings.url, clock)
    if settings.source is None:
        return Microphone(settings.device, clock)
    if settings.source == STDIN:
        return PipeSource(
            sys.stdin.fileno(),
            clock,
            rate_hz=settings.raw_rate,
            channels=settings.raw_channels,
            live=settings.realtime,
        )
    return RecordedSource(settings.source, clock, live=settings.realtime, channel=channel_of(settings))


def only_place(settings: Settings) -> None:
    """Raises ConfigError where settings name more than one source, a nameless one, or channels that it has not got."""
    if settings.source == "":
        raise ConfigError("source is '', expected a file, or - for raw audio on stdin", setting="source")
    if settings.folder is not None and settings.channel == "each":
        raise ConfigError("channel is each, which applies to live sources; a folder's recordings are downmixed")
    places = {name: getattr(settings, name) for name in ("device", "source", "url", "folder")}
    given = {name: value for name, value in places.items() if value is not None}
    if len(given) > 1:
        text = " and ".join(f"{name} is {str(value)!r}" for name, value in given.items() if name != "url")
        raise ConfigError(f"{text}{' and a url is set' if 'url' in given else ''}: give one of them")


def channel_of(settings: Settings) -> int | None:
    """Which channel is taken, counted from 0; None for their mean."""
    return int(settings.channel) if settings.channel.isdigit() else None


def is_whole_recording(settings: Settings) -> bool:
    """Whether the source is a recording with a name and an end; everything else is cut into minutes."""
    return settings.source is not None and settings.source != STDIN
