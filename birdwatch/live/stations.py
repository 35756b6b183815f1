"""The stations of a configuration: made, changed and removed together, so that a refused reload changes nothing."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from birdwatch.audio.windows import hop_frames_of
from birdwatch.config.loading import Loaded, journal_path
from birdwatch.config.schema import Settings, rules
from birdwatch.config.thresholds import thresholds_digest
from birdwatch.live.channels import FurtherChannel, SharedSource
from birdwatch.live.folder import WatchedFolder
from birdwatch.live.folder_station import FolderStation
from birdwatch.live.listener import Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.pauses import pauses
from birdwatch.live.pipelines import OnDetection, Pipelines, Stream
from birdwatch.live.source import Clock, Source, Stamp
from birdwatch.live.sources import channel_of, is_whole_recording, make_source, only_place
from birdwatch.live.station import Station
from birdwatch.live.station_policy import StationPolicy
from birdwatch.messaging.messages import Envelope, InForce
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.station_publisher import StationPublisher
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.voice_activity import VoiceActivity
from birdwatch.paths import text_of

__all__ = ["Stations"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Member:
    """A running station, and what it was made of. others: the stations of its source's further channels."""

    settings: Settings
    station: Station
    policy: StationPolicy
    publisher: StationPublisher
    others: list[_Member] = field(default_factory=list)

    def describe(self) -> None:
        """Name in its messages what is known only now: a device's stable name, the season's filter."""
        self.publisher.describe(source=self.station.source.name, filter_text=self.policy.filter)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All of a new station that can be refused. source: a folder is watched and not opened."""

    settings: Settings
    source: Source | WatchedFolder
    policy: StationPolicy


@dataclass(frozen=True, slots=True)
class _Plan:
    """A configuration that was checked and is not in force yet."""

    loaded: Loaded
    new: Mapping[str, _Prepared]
    kept: Mapping[str, Settings]
    restart: list[str]


class Stations:
    """One station per source, on one model and one publisher. Raises BirdwatchError where one cannot be made.

    on_detection: is called with each detection and its UTC in ns.
    """

    def __init__(
        self,
        loaded: Loaded,
        classifier: OnnxClassifier,
        publisher: Publisher,
        clock: Clock,
        *,
        on_detection: OnDetection | None = None,
    ) -> None:
        self._loaded = loaded
        self._classifier = classifier
        self._publisher = publisher
        self._clock = clock
        self._pipelines = Pipelines(loaded.settings, classifier, clock, on_detection=on_detection)
        self._members: dict[str, _Member] = {}
        self._leaving: list[_Member] = []
        for name, settings in loaded.sources.items():
            self._members[name] = self._made(self._prepared(settings))

    def running(self) -> list[Station]:
        """All stations, those included that were removed and still have windows to score."""
        return [member.station for member in [*self._everyone(), *self._leaving]]

    def _everyone(self) -> list[_Member]:
        return [one for member in self._members.values() for one in (member, *member.others)]

    def reload(self, newer: Loaded) -> str:
        """Put another configuration in force and say what changed. Raises BirdwatchError, and nothing has changed."""
        plan = self._plan(newer)
        # The last step that can be refused: from here on everything succeeds.
        self._publisher.reload_keys()
        removed = [name for name in self._members if name not in plan.kept]
        for name in removed:
            member = self._members.pop(name)
            for one in (member, *member.others):
                one.station.stop()
                self._leaving.append(one)
        for name, settings in plan.kept.items():
            member = self._members[name]
            for one in (member, *member.others):
                one.settings = settings
                one.policy.apply(settings)
                one.station.listener.use(one.policy.policy)
                one.station.place = _place(settings)
                one.station.configuration = _in_force(settings, one.station.configuration)
                one.describe()
        for name, prepared in plan.new.items():
            self._members[name] = self._made(prepared)
        self._pipelines.reload(newer.settings)
        self._loaded = plan.loaded
        return _summary(plan, removed)

    def follow(self) -> None:
        """Between turns: follow the season, name found devices, end removed stations that have been scored."""
        for member in self._members.values():
            self._add_channels(member)
        for member in self._everyone():
            if member.policy.follow_season():
                member.station.listener.use(member.policy.policy)
                log.info("species filter of %s: %s", member.station.name, member.policy.filter)
            member.describe()
        for member in [member for member in self._leaving if not member.station.listener.waiting]:
            self._leaving.remove(member)
            member.station.finish()
            member.publisher.leave()

    def _add_channels(self, member: _Member) -> None:
        """A station for each further channel of a source of which all are scored apart."""
        source = member.station.source
        while isinstance(source, SharedSource) and source.channels > 1 + len(member.others):
            channel = 1 + len(member.others)
            prepared = _Prepared(member.settings, FurtherChannel(source), self._policy(member.settings, source.live))
            member.others.append(self._made(prepared, channel))

    def _plan(self, newer: Loaded) -> _Plan:
        """Check all of a configuration: policies, and sources that are new or to be opened again."""
        restart = self._loaded.needs_restart(newer)
        # Settings that need a restart are unchanged: the next reload reports them again.
        old = {name: getattr(self._loaded.settings, name) for name in restart}
        settings = replace(newer.settings, **old)
        if newer.has_tables:
            shared = {name: value for name, value in old.items() if not rules()[name].source}
            sources = {name: replace(one, **shared) for name, one in newer.sources.items()}
        else:
            sources = {settings.station: settings}
        new, kept = {}, {}
        for name, one in sources.items():
            member = self._members.get(name)
            if member is not None and not _reopens(member.settings, one):
                member.policy.made_of(one)
                kept[name] = one
            else:
                new[name] = self._prepared(one)
        return _Plan(replace(newer, settings=settings, sources=sources), new, kept, restart)

    def _prepared(self, settings: Settings) -> _Prepared:
        pauses(settings, self._clock, live=True)
        hop_frames_of(settings.hop, self._classifier.manifest.window_frames, self._classifier.manifest.rate_hz)
        if settings.privacy != "off":
            VoiceActivity()
        source: Source | WatchedFolder
        if settings.folder is not None:
            only_place(settings)
            record = journal_path(settings)
            if record is not None:
                record = record.parent / f"folder-{settings.station}.jsonl"
            source = WatchedFolder(settings.folder, self._clock, record=record)
            live = False
        else:
            source = make_source(settings, self._clock)
            live = source.live
        return _Prepared(settings, source, self._policy(settings, live))

    def _policy(self, settings: Settings, live: bool) -> StationPolicy:
        return StationPolicy(self._classifier, settings, self._today if live else None)

    def _made(self, prepared: _Prepared, channel: int | None = None) -> _Member:
        """A station that runs from now on. channel: which one of those that are scored apart."""
        settings, source, policy = prepared.settings, prepared.source, prepared.policy
        name, boot_id = settings.station, uuid.uuid4().hex
        if settings.channel == "each":
            channel = channel or 0
            name = f"{name}-{channel}"
        where = text_of(source.folder) if isinstance(source, WatchedFolder) else source.name
        publisher = StationPublisher(self._publisher, Envelope(name, where, boot_id, filter=policy.filter))
        if policy.filter is not None:
            log.info("species filter of %s: %s", name, policy.filter)
        station: Station
        if isinstance(source, WatchedFolder):

            def make(recording: str, start: Stamp, number: int) -> tuple[Listener, Reporter]:
                part = Stream(name, recording, start, f"{boot_id}-{number}", live=False, whole=True)
                return self._pipelines.make(settings, policy.policy, publisher, part)

            station = FolderStation(name, source, make, publisher, self._clock, channel=channel_of(settings))
        else:
            whole = is_whole_recording(settings)
            recording = text_of(Path(settings.source).stem) if whole and settings.source else name
            if channel is None and not whole:
                channel = channel_of(settings)
            part = Stream(name, recording, self._clock.now(), boot_id, live=source.live, whole=whole, channel=channel)
            listener, reporter = self._pipelines.make(settings, policy.policy, publisher, part)
            pause = pauses(settings, self._clock, live=source.live)
            station = Station(name, source, listener, reporter, publisher, self._clock, pause=pause)
        station.place = _place(settings)
        station.configuration = _in_force(settings)
        return _Member(settings, station, policy, publisher)

    def close(self) -> None:
        """End recordings, at the end of the daemon."""
        self._pipelines.close()

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock.now().utc_ns // 1_000_000_000, UTC).date()


def _place(settings: Settings) -> tuple[float, float] | None:
    return None if settings.lat is None or settings.lon is None else (settings.lat, settings.lon)


def _in_force(settings: Settings, before: InForce | None = None) -> InForce:
    digest = thresholds_digest(settings)
    return InForce(os.getpid(), digest) if before is None else replace(before, thresholds=digest)


def _reopens(old: Settings, new: Settings) -> bool:
    """Whether the new settings of a source need it to be opened again."""
    return any(getattr(old, name) != getattr(new, name) for name, rule in rules().items() if not rule.live)


def _summary(plan: _Plan, removed: list[str]) -> str:
    text = "thresholds, events, species, clips and keys are in force"
    if plan.new:
        text += f"; opened: {', '.join(plan.new)}"
    if gone := [name for name in removed if name not in plan.new]:
        text += f"; removed: {', '.join(gone)}"
    return f"{text}; {', '.join(plan.restart)} only after a restart" if plan.restart else text
