"""The command line: names each command, and imports its module only when it is called."""

from __future__ import annotations

import logging
import os
import sys

import click

from birdwatch._version import __version__
from birdwatch.cli.interrupts import watch_interrupts
from birdwatch.cli.lazy_group import LazyGroup
from birdwatch.errors import BirdwatchError, UsageError
from birdwatch.standard_streams import complete_streams, discard_stdout
from birdwatch.wording import printable

__all__ = ["main"]

# Name -> (module of birdwatch.cli with a click command of that name, one line of help). The help is defined here so
# that `birdwatch --help` imports no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "Score recordings and write a submission or other tables."),
    "plan": ("plan", "Plan a run over several machines."),
    "work": ("work", "Score a share of a planned run."),
    "merge": ("merge", "Write the tables of a planned run."),
    "evaluate": ("evaluate", "Evaluate a table against ground truth."),
    "report": ("report", "Write an HTML page with spectrograms and sounds of detections."),
    "embed": ("embed", "Write one embedding per window, for clustering and search."),
    "model": ("model", "Show models, add BirdNET, wrap other ONNX files."),
    "listen": ("listen", "Listen to a microphone, a file or a pipe, and publish detections."),
    "devices": ("devices", "List microphones by stable names."),
    "bench": ("bench", "Measure the speed of this machine."),
    "config": ("config", "Show the settings in force and where each comes from."),
    "tail": ("tail", "Print a station's messages as they are published."),
    "replay": ("replay", "Print messages that a subscriber missed."),
    "keygen": ("keygen", "Make CURVE keys for a station and its subscribers."),
    "hub": ("hub", "Store the messages of stations, and serve them to browsers."),
    "service": ("service", "Install, remove or inspect the systemd service."),
    "doctor": ("doctor", "Check everything that listening needs."),
}


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="birdwatch")
@click.option("-v", "--verbose", count=True, help="More messages on stderr (-vv for all).")
def birdwatch(verbose: int) -> None:
    """Detect bird vocalisations, live or in recordings, with every second accounted for."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


def main() -> None:
    """Run the command line; exit 0 all done, 1 an error, 2 wrong usage, 3 done but some recordings failed."""
    # Windows are scored in parallel, one thread each, and a BLAS with threads of its own would compete with them.
    # It reads these variables when NumPy is first imported, which is after this line.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    complete_streams()
    watch_interrupts()
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of stdout closed the pipe (`| head`): not an error, but nothing more can be written.
        discard_stdout()
        code = 1
    except OSError as error:
        if not _stdout_fails():
            raise
        click.echo(f"birdwatch: standard output cannot be written: {error.strerror}", err=True)
        code = 1
    sys.exit(code)


def _run() -> int | str | None:
    try:
        birdwatch(prog_name="birdwatch")
    except BirdwatchError as error:
        click.echo(f"birdwatch: {printable(str(error))}", err=True)
        return 2 if isinstance(error, UsageError) else 1
    except SystemExit as end:
        return end.code
    return 0


def _stdout_fails() -> bool:
    """Whether stdout cannot be written; its buffer is then discarded."""
    try:
        sys.stdout.flush()
        os.write(1, b"")
    except OSError:
        discard_stdout()
        return True
    return False


if __name__ == "__main__":
    main()
