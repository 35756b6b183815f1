"""`birdwatch tail`: prints a station's messages as they are published."""

from __future__ import annotations

import socket
from pathlib import Path

import click

from birdwatch.cli.lines import line_of
from birdwatch.config.schema import Settings
from birdwatch.messaging.endpoint import check_endpoint
from birdwatch.messaging.subscriber import Subscriber

__all__ = ["tail"]

# A station publishes its status every 5 s and for each new subscriber.
SILENCE_S = 12.0
# A station on the local network accepts a connection much faster.
CONNECT_S = 2.0


@click.command()
@click.argument("endpoint", default=Settings().bind)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, as it was sent.")
@click.option("--topic", "topics", multiple=True, help="Prefix of the topics to show; may be repeated. [default: all]")
@click.option("--keys", type=click.Path(path_type=Path), help="Folder of a subscriber's CURVE keys.")
@click.option("--count", type=click.IntRange(1), help="Stop after this many messages.")
def tail(endpoint: str, as_json: bool, topics: tuple[str, ...], keys: Path | None, count: int | None) -> None:
    """Print the messages of the station at ENDPOINT (default: the one on this machine) until interrupted.

    Topics are for example birdwatch/1/detection/ or birdwatch/1/event/garden/.
    """
    check_endpoint(endpoint)
    if not _answers(endpoint):
        click.echo(
            f"birdwatch: nothing listens on {endpoint} yet; start a station with `birdwatch listen` (in another "
            "terminal), or name another ENDPOINT. Waiting for it.",
            err=True,
        )
    shown = 0
    warned = False
    with Subscriber(endpoint, topics or ("birdwatch/1/",), keys=keys) as subscriber:
        try:
            while count is None or shown < count:
                message = subscriber.receive(SILENCE_S)
                if message is None:
                    # Without a warning for a prefix, which may match few messages.
                    if not (shown or warned or topics):
                        warned = True
                        click.echo(
                            f"birdwatch: nothing received from {endpoint}; is the station running, is this its --bind "
                            "and, if it has keys, does it accept yours? Still waiting.",
                            err=True,
                        )
                    continue
                shown += 1
                click.echo(message[1].decode(errors="replace") if as_json else line_of(message[1]))
        except KeyboardInterrupt:
            pass


def _answers(endpoint: str) -> bool:
    """Whether something accepts connections at a TCP endpoint; True for other endpoints, which are not tested."""
    scheme, _, address = endpoint.partition("://")
    host, _, port = address.rpartition(":")
    if scheme != "tcp" or not port.isdigit():
        return True
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except OSError:
        return False
    return True
