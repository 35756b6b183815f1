"""`birdwatch replay`: prints messages that a subscriber missed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from birdwatch.cli.lines import line_of
from birdwatch.config.schema import Settings
from birdwatch.errors import SinkError
from birdwatch.messaging.endpoint import check_endpoint
from birdwatch.messaging.message_pages import Page, read_log
from birdwatch.messaging.replay import ask
from birdwatch.messaging.replay_protocol import without_damage
from birdwatch.wording import counted

__all__ = ["replay"]


@click.command()
@click.argument("endpoint", default=Settings().replay_bind)
@click.option(
    "--since", type=click.IntRange(0), required=True, help="The last message (its seq) that you have; 0: none."
)
@click.option("--boot", "boot_id", help="The boot_id of that message. [default: the station's current one]")
@click.option("--topic", "prefix", default="", help="Prefix of the topics to show. [default: all]")
@click.option("--journal", type=click.Path(path_type=Path), help="Read this message log instead of asking a station.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, as it was sent.")
@click.option("--keys", type=click.Path(path_type=Path), help="Folder of a subscriber's CURVE keys.")
def replay(
    endpoint: str, since: int, boot_id: str | None, prefix: str, journal: Path | None, as_json: bool, keys: Path | None
) -> None:
    """Print the messages after message --since, including those of later starts of the station.

    ENDPOINT is the station's --replay-bind (default: that of the station on this machine). Messages that the station
    no longer has are counted on stderr, and the exit code is 3.
    """
    if journal is None:
        check_endpoint(endpoint)
        pages = ask(endpoint, since, boot_id, prefix=prefix, keys=keys)
    else:
        pages = _pages(journal, since, boot_id, prefix)
    missing = 0
    for page in pages:
        if page.missing is None:
            click.echo(
                f"birdwatch: the message log does not contain boot {boot_id}; this is all it has, and the number of "
                "missing messages before is unknown",
                err=True,
            )
            missing += 1
        else:
            missing += page.missing
        for entry in page.entries:
            click.echo(entry.body.decode(errors="replace") if as_json else line_of(entry.body))
    if missing:
        click.echo(
            f"birdwatch: at least {counted(missing, 'message')} missing; the message log no longer has them", err=True
        )
        raise click.exceptions.Exit(3)


def _pages(path: Path, since: int, boot_id: str | None, prefix: str) -> Iterator[Page]:
    if not path.exists():
        raise SinkError(f"message log {path} does not exist; give the file of a station with --journal")
    more = True
    while more:
        page = without_damage(read_log(path, since, boot_id, prefix=prefix))
        yield page
        more, since, boot_id = page.more, page.seq, page.boot_id
