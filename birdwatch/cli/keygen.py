"""`birdwatch keygen`: CURVE keys for a station, and for each of its subscribers."""

from __future__ import annotations

from pathlib import Path

import click

from birdwatch.messaging.curve import make_client_keys, make_server_keys

__all__ = ["keygen"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--client", "clients", multiple=True, metavar="NAME", help="Admit a subscriber; may be repeated.")
def keygen(folder: Path, clients: tuple[str, ...]) -> None:
    """Make a station's keys in FOLDER, or, with --client, a subscriber's.

    With keys the station may bind to an address that other machines can reach: it accepts only subscribers whose keys
    are in FOLDER/clients, and messages are encrypted and authenticated.
    """
    if not clients:
        make_server_keys(folder)
        click.echo(f"the station's keys are in {folder}: birdwatch listen --curve-keys {folder} --bind tcp://*:5570")
        click.echo(f"admit a subscriber: birdwatch keygen {folder} --client NAME")
    for name in clients:
        parcel = make_client_keys(folder, name)
        click.echo(
            f"{name} is accepted once the station has read its configuration again (SIGHUP); move {parcel} to its "
            f"machine over a secure channel, and use it there: birdwatch tail --keys {parcel.name} tcp://STATION:5570"
        )
