"""`birdwatch listen`: runs the configured stations until a signal ends it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from birdwatch.atomic_write import check_folder, check_writable, identities
from birdwatch.cli.options import setting_options
from birdwatch.config.loading import Configuration, Loaded, journal_path
from birdwatch.config.schema import Settings
from birdwatch.errors import DeviceError, UsageError
from birdwatch.live.daemon import Daemon
from birdwatch.live.library_messages import bound_library_messages
from birdwatch.live.scheduler import Scheduler
from birdwatch.live.source import SystemClock
from birdwatch.live.sources import only_place
from birdwatch.live.stations import Stations
from birdwatch.live.stream_url import checked_url, has_credentials
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.model.classifier import CPU_BATCH, OnnxClassifier
from birdwatch.model.label_names import locale_names
from birdwatch.model.registry import find_model, species_hint
from birdwatch.process import cores
from birdwatch.service.sd_notify import Notifier

if TYPE_CHECKING:
    from birdwatch.live.terminal import Display

__all__ = ["listen"]

log = logging.getLogger("birdwatch")


@click.command(context_settings={"allow_extra_args": True})
@setting_options()
@click.pass_context
def listen(context: click.Context, /, config: Path | None, **options: Any) -> None:
    """Detect birds in the audio of a microphone, a network stream or other sources, and publish detections.

    Several sources are `[source.NAME]` tables of the configuration. SIGTERM publishes open events and ends it, SIGHUP
    reads the configuration again, a second SIGINT ends it immediately.
    """
    if context.args:
        name = context.args[0]
        raise UsageError(
            f"listen takes no argument, but got {name!r}; `birdwatch run {name} --out {Path(name).stem}.csv` scores a "
            f"recording, `birdwatch listen --source {name} --realtime` plays it as if it were live"
        )
    if options["url"] is not None and has_credentials(checked_url(options["url"])):
        raise UsageError(
            "--url contains a password or a token, which every user of this machine could read in the list of "
            "processes; set url in the configuration file, or BIRDWATCH_URL",
            setting="url",
        )
    # A SIGHUP before the daemon exists would end the process.
    told_early = _note_reloads()
    configuration = Configuration(config, options)
    loaded = configuration.read()
    if not all(one.source or one.url or one.folder for one in loaded.sources.values()):
        # A microphone's libraries write to stderr as they like.
        bound_library_messages()
    code = 0
    with ExitStack() as stack:
        display = _display(loaded, stack)
        daemon, stations = _started(configuration, loaded, display, stack)
        _take_signals(daemon)
        if told_early:
            daemon.reload()
        try:
            daemon.run()
        except DeviceError as error:
            log.error("%s", error)
            code = 1
    if any(getattr(station.source, "hangs", False) for station in stations.running()):
        # A thread hangs in the sound library, whose clean-up at exit would wait for it for ever.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _started(
    configuration: Configuration, loaded: Loaded, display: Display | None, stack: ExitStack
) -> tuple[Daemon, Stations]:
    """The daemon with a loaded model and bound endpoints."""
    clock = SystemClock()
    _check_places(configuration, loaded)
    classifier = _classifier(loaded)
    publisher = stack.enter_context(_publisher(loaded.settings))
    log.info("%s on %s; publishing on %s", classifier.manifest.name, classifier.provider, publisher.endpoint)
    hint = species_hint(loaded.settings.model, len(classifier.manifest.labels))
    if hint is not None:
        log.info("%s", hint)
    stations = Stations(loaded, classifier, publisher, clock, on_detection=_shown(display, classifier))
    stack.callback(stations.close)
    scheduler = Scheduler(classifier, clock)
    if loaded.has_several:
        # So that sources are read while windows are scored on every core.
        pool = stack.enter_context(ThreadPoolExecutor(cores(), thread_name_prefix="score"))
        scheduler = Scheduler(classifier, clock, executor=pool, workers=cores())

    def after_turn() -> None:
        stations.follow()
        if display is not None and display.due():
            (station, *_) = stations.running()
            display.show(station.status(), station.listener.level)

    daemon = Daemon(
        stations.running,
        scheduler,
        Notifier(),
        clock,
        poll=publisher.poll,
        reload=lambda: stations.reload(configuration.read()),
        on_turn=after_turn,
    )
    return daemon, stations


def _check_places(configuration: Configuration, loaded: Loaded) -> None:
    """Refuse, before anything is opened: two sources in one, a message log that is an input, folders that are files."""
    settings = loaded.settings
    read = [configuration.file, find_model(settings.model), settings.species]
    read += [Path(one.source) for one in loaded.sources.values() if one.source is not None]
    read += [None if settings.locale is None else Path(settings.locale)]
    journal = journal_path(settings)
    if journal is not None and journal.exists():
        check_writable(journal, inputs=identities(read))
    for one in loaded.sources.values():
        only_place(one)
        for folder in filter(None, (one.save_clips, one.record)):
            check_folder(folder)


def _classifier(loaded: Loaded) -> OnnxClassifier:
    settings = loaded.settings
    path = find_model(settings.model)
    names = None if settings.locale is None else locale_names(settings.locale, path)
    # One source gives a window per hop: one thread, and small batches, since CUDA pads every batch. For several
    # sources the classifier chooses the batch size of its provider.
    batch_size = None if loaded.has_several else CPU_BATCH
    classifier = OnnxClassifier(path, provider=settings.provider, batch_size=batch_size, workers=1, names=names)
    # The first run allocates buffers; do it now, so that the first detection is not late.
    classifier.score(np.zeros((1, classifier.manifest.window_frames), np.float32))
    return classifier


def _publisher(settings: Settings) -> Publisher:
    return Publisher(
        settings.bind,
        Envelope(station=settings.station, source="", boot_id=uuid.uuid4().hex),
        journal=journal_path(settings),
        journal_max_bytes=round(settings.journal_max_mb * 1e6),
        replay_endpoint=None if settings.replay_bind == "off" else settings.replay_bind,
        keys=settings.curve_keys,
        insecure=settings.insecure_bind,
        clips=settings.save_clips,
    )


def _shown(display: Display | None, classifier: OnnxClassifier) -> Callable[..., None] | None:
    if display is None:
        return None
    labels = classifier.manifest.labels
    return lambda found, utc_ns: display.detected(
        labels[found.label].common_name or labels[found.label].code, found.score, utc_ns
    )


def _display(loaded: Loaded, stack: ExitStack) -> Display | None:
    """A display on a terminal, for a single station; otherwise log lines."""
    root = logging.getLogger()
    root.setLevel(min(root.level, logging.INFO))
    if not sys.stderr.isatty() or loaded.has_several:
        return None
    from rich.console import Console
    from rich.logging import RichHandler

    from birdwatch.live.terminal import Display

    console = Console(stderr=True)
    root.handlers = [RichHandler(console=console, show_path=False)]
    return stack.enter_context(Display(console, loaded.settings.station))


def _note_reloads() -> list[int]:
    """A list that gets an entry per SIGHUP."""
    came: list[int] = []
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda number, _frame: came.append(number))
    return came


def _take_signals(daemon: Daemon) -> None:
    interrupted = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        daemon.stop()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            # 128 + SIGINT, as a shell reports it.
            os._exit(130)
        interrupted = True
        daemon.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, interrupt)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda _number, _frame: daemon.reload())
