"""`birdwatch listen`: puts the daemon together from the settings in force, and runs it until a signal ends it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from birdwatch.cli.options import setting_options
from birdwatch.config.loading import Configuration, Loaded, journal_path
from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError, DeviceError
from birdwatch.live.clips import Clips
from birdwatch.live.daemon import Daemon
from birdwatch.live.listener import Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.microphone import Microphone
from birdwatch.live.recorded import PipeSource, RecordedSource
from birdwatch.live.source import Clock, Source, SystemClock
from birdwatch.live.station_policy import StationPolicy
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.model.classifier import CPU_BATCH, OnnxClassifier
from birdwatch.model.label_names import locale_names
from birdwatch.model.registry import find_model
from birdwatch.service.sd_notify import Notifier

if TYPE_CHECKING:
    from birdwatch.live.terminal import Display

__all__ = ["listen"]

log = logging.getLogger("birdwatch")

STDIN = "-"


@click.command()
@setting_options()
def listen(config: Path | None, **options: Any) -> None:
    """Listen to a microphone, or to --source, and publish detections, events and the station's state.

    SIGTERM ends it when open events are published, SIGHUP reads the configuration again, a second SIGINT stops at once.
    """
    configuration = Configuration(config, options)
    loaded = configuration.read()
    clock = SystemClock()
    with ExitStack() as stack:
        display = _display(loaded.settings, stack)
        source = make_source(loaded.settings, clock)
        daemon = _assembled(configuration, loaded, source, clock, display, stack)
        _take_signals(daemon)
        code = 0
        try:
            daemon.run()
        except DeviceError as error:
            log.error("%s", error)
            code = 1
    if isinstance(source, Microphone) and source.hangs:
        # A thread is stuck in the sound library, whose own clean-up at the end would wait for it for ever.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def make_source(settings: Settings, clock: Clock) -> Source:
    """What the settings say is listened to. Raises SourceError."""
    if settings.source is not None and settings.device is not None:
        raise ConfigError(f"device is {settings.device!r} and source is {settings.source!r}: give one of them")
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
    return RecordedSource(settings.source, clock, live=settings.realtime)


def _assembled(
    configuration: Configuration,
    loaded: Loaded,
    source: Source,
    clock: Clock,
    display: Display | None,
    stack: ExitStack,
) -> Daemon:
    settings = loaded.settings
    # A window every hop, one thread: the rest of the machine belongs to others. CUDA fills every batch up, so a
    # large one would be computed in vain.
    path = find_model(settings.model)
    names = None if settings.locale is None else locale_names(settings.locale, path)
    classifier = OnnxClassifier(path, provider=settings.provider, batch_size=CPU_BATCH, workers=1, names=names)
    policy = StationPolicy(classifier, settings, partial(_today, clock) if source.live else None)
    manifest = classifier.manifest
    # The first run allocates what the others use: not to be waited for by the first detection.
    classifier.score(np.zeros((1, manifest.window_frames), np.float32))
    clips = None
    if settings.save_clips is not None:
        clips = Clips(settings.save_clips, max_bytes=round(settings.clips_max_gb * 1e9))
    # A recording that has a name and an end is one; everything else is cut into minutes.
    whole = settings.source is not None and settings.source != STDIN
    listener = Listener(
        classifier,
        policy.policy,
        clock.now(),
        hop_s=settings.hop,
        recording=Path(settings.source).stem if whole and settings.source else settings.station,
        recording_s=None if whole else settings.recording_seconds,
        on_block=None if clips is None else clips.push,
    )
    boot_id = uuid.uuid4().hex
    publisher = stack.enter_context(
        Publisher(
            settings.bind,
            Envelope(station=settings.station, source=source.name, boot_id=boot_id, filter=policy.filter),
            journal=journal_path(settings),
            journal_max_bytes=round(settings.journal_max_mb * 1e6),
            replay_endpoint=None if settings.replay_bind == "off" else settings.replay_bind,
            keys=settings.curve_keys,
            insecure=settings.insecure_bind,
            clips=settings.save_clips,
        )
    )
    log.info("%s on %s; publishing on %s", manifest.name, classifier.provider, publisher.endpoint)
    if policy.filter is not None:
        log.info("species filter: %s", policy.filter)
    reporter = Reporter(
        listener,
        publisher.publish,
        clock,
        station=settings.station,
        boot_id=boot_id,
        live=source.live,
        minutes=not whole,
        clips=clips,
        on_detection=_shown(display, classifier),
    )

    def reload() -> str:
        nonlocal loaded
        newer = configuration.read()
        policy.made_of(newer.settings)
        publisher.reload_keys()
        policy.apply(newer.settings)
        listener.use(policy.policy)
        publisher.filter = policy.filter
        if clips is not None:
            clips.max_bytes = round(newer.settings.clips_max_gb * 1e9)
        restart = loaded.needs_restart(newer)
        # What needs a restart is still as it was: the next reload says so again.
        loaded = replace(newer, settings=replace(newer.settings, **{n: getattr(loaded.settings, n) for n in restart}))
        if restart:
            return (
                f"thresholds, events, species, clips and keys are in force; {', '.join(restart)} only after a restart"
            )
        return "thresholds, events, species, clips and keys are in force"

    daemon = Daemon(
        source,
        listener,
        reporter,
        publisher,
        Notifier(),
        clock,
        reload=reload,
        on_turn=lambda: _after_turn(daemon, listener, publisher, source, display, policy),
    )
    return daemon


def _after_turn(
    daemon: Daemon,
    listener: Listener,
    publisher: Publisher,
    source: Source,
    display: Display | None,
    policy: StationPolicy,
) -> None:
    if policy.follow_season():
        listener.use(policy.policy)
        publisher.filter = policy.filter
        log.info("species filter: %s", policy.filter)
    # A device's stable name is known only once it was found.
    if publisher.source != source.name:
        publisher.source = source.name
    if display is not None and display.due():
        display.show(daemon.status(), listener.level)


def _today(clock: Clock) -> date:
    return datetime.fromtimestamp(clock.now().utc_ns // 1_000_000_000, UTC).date()


def _shown(display: Display | None, classifier: OnnxClassifier) -> Callable[..., None] | None:
    if display is None:
        return None
    labels = classifier.manifest.labels
    return lambda found, utc_ns: display.detected(
        labels[found.label].common_name or labels[found.label].code, found.score, utc_ns
    )


def _display(settings: Settings, stack: ExitStack) -> Display | None:
    """Lines that are redrawn on a terminal; plain lines of log everywhere else."""
    root = logging.getLogger()
    root.setLevel(min(root.level, logging.INFO))
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.logging import RichHandler

    from birdwatch.live.terminal import Display

    console = Console(stderr=True)
    root.handlers = [RichHandler(console=console, show_path=False)]
    return stack.enter_context(Display(console, settings.station))


def _take_signals(daemon: Daemon) -> None:
    interrupted = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        daemon.stop()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            # 128 + SIGINT, as a shell would say.
            os._exit(130)
        interrupted = True
        daemon.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, interrupt)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda _number, _frame: daemon.reload())
