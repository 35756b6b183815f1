"""`birdwatch hub`: stores the messages of stations, and serves them to browsers."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import click

from birdwatch.audio.timestamps import zone
from birdwatch.cli.parameters import NamedPath
from birdwatch.config.loading import state_folder
from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError, SinkError
from birdwatch.extras import install_command
from birdwatch.hub.retention import CLIPS_MAX_GB, DETAILS_MAX_DAYS
from birdwatch.wording import counted

__all__ = ["hub"]

DEFAULT_HTTP = "127.0.0.1:8080"
SHOWN_FAULTS = 5

_store = click.option(
    "--store", envvar="BIRDWATCH_HUB_STORE", help="sqlite:////FILE or postgresql://... [default: in the state folder]"
)


@click.group(invoke_without_command=True)
@click.option(
    "--station",
    "stations",
    multiple=True,
    help=f"[NAME=]ENDPOINT[,replay=ENDPOINT][,keys=FOLDER]; may be repeated. [default: {Settings().bind}]",
)
@click.option("--http", default=DEFAULT_HTTP, show_default=True, help="Address for browsers.")
@_store
@click.option("--public", is_flag=True, help="Everyone may view; changes need the password.")
@click.option(
    "--clips-max-gb",
    type=click.FloatRange(0),
    default=CLIPS_MAX_GB,
    show_default=True,
    help="Maximum size of all clips.",
)
@click.option(
    "--details-max-days",
    type=click.FloatRange(0),
    default=DETAILS_MAX_DAYS,
    show_default=True,
    help="Maximum age of single detections, recordings and statuses; events are kept. 0: no limit.",
)
@click.option("--model", help="A model whose label languages the page offers.")
@click.option("--prefix", default="", help="The path of the hub behind a reverse proxy.")
@click.option("--host-name", "hosts", multiple=True, help="A host name that browsers use; may be repeated.")
@click.pass_context
def hub(
    context: click.Context,
    stations: tuple[str, ...],
    http: str,
    store: str | None,
    public: bool,
    clips_max_gb: float,
    details_max_days: float,
    model: str | None,
    prefix: str,
    hosts: tuple[str, ...],
) -> None:
    """Subscribe to stations, store each message once, and serve the page and the API."""
    context.obj = store
    if context.invoked_subcommand is not None:
        return
    _check_installed()
    from birdwatch.hub.hub import Hub, HubSettings
    from birdwatch.hub.origin import parse_origin
    from birdwatch.hub.server import check_open, parse_address, serve
    from birdwatch.model.registry import find_model

    parse_address(http)
    origins = tuple(parse_origin(text) for text in stations or (Settings().bind,))
    names = [origin.name for origin in origins]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"station {twice!r} is given twice; give each another name", setting="station")
    folder = state_folder()
    settings = HubSettings(
        origins,
        folder,
        store or _default_url(folder),
        public=public,
        hosts=hosts,
        clips_max_gb=clips_max_gb,
        details_max_days=details_max_days,
        model=None if model is None else find_model(Path(model)),
    )
    made = Hub(settings)
    how_many = counted(len(origins), "station")
    try:
        check_open(parse_address(http)[0], password_set=made.access.password_set, public=public)
        click.echo(f"birdwatch hub: http://{http}{prefix}/ ; {how_many}; {made.store.name}", err=True)
        serve(made, http, prefix=prefix)
    finally:
        made.close()


@hub.command()
@click.option("--remove", is_flag=True, help="Remove the password; only this machine can then connect.")
@click.pass_obj
def password(store: str | None, remove: bool) -> None:
    """Set the hub's password, from the terminal or BIRDWATCH_HUB_PASSWORD; all sessions end."""
    _check_installed()
    from birdwatch.hub.access import Access
    from birdwatch.hub.store import Store

    url = store or _default_url(state_folder())
    try:
        opened = Store(url)
    except SinkError:
        # A running hub uses this store; it rereads the password by itself.
        opened = Store(url, read_only=True)
    try:
        given = os.environ.get("BIRDWATCH_HUB_PASSWORD")
        if not remove and given is None:
            given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        Access(opened).set_password(None if remove else given)
    finally:
        opened.close()
    click.echo("the password was removed" if remove else "the password was set", err=True)


@hub.command("import")
@click.argument("archive", type=NamedPath())
@click.option("--as", "station", help="The station that its detections belong to. [default: the file's name]")
@click.option("--timezone", required=True, help="Time zone of its local times: UTC, +02:00, Europe/Berlin.")
@click.pass_obj
def import_(store: str | None, archive: Path, station: str | None, timezone: str) -> None:
    """Import ARCHIVE: birds.db of BirdNET-Pi, birdnet.db of BirdNET-Go, or a table of `birdwatch run`.

    Events that are already in the store are skipped. The hub must not be running.
    """
    _check_installed()
    from birdwatch.hub.importing import import_archive
    from birdwatch.hub.store import Store

    where = zone(timezone)
    opened = Store(store or _default_url(state_folder()))
    try:
        done = import_archive(opened, archive, station=station or archive.stem, where=where)
        opened.settle()
    finally:
        opened.close()
    click.echo(f"{counted(done.new, 'event')} new, {done.known} already in the store", err=True)
    for line in done.left_out[:SHOWN_FAULTS]:
        click.echo(f"birdwatch: left out: {line}", err=True)
    if done.left_out:
        click.echo(f"birdwatch: {counted(len(done.left_out), 'row')} left out", err=True)
        raise click.exceptions.Exit(3)


@hub.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format", "kind", type=click.Choice(["csv", "parquet", "ebird", "dwca"]), default="csv", show_default=True
)
@click.option("--from", "since", help="Events from this UTC time on.")
@click.option("--to", "until", help="Events before this UTC time.")
@click.option("--station", help="Events of this station.")
@click.option("--reviewed", is_flag=True, help="Only events that a person confirmed or corrected.")
@click.option("--timezone", default="UTC", show_default=True, help="Time zone of the days of an eBird checklist.")
@click.pass_obj
def export(
    store: str | None,
    out: Path,
    kind: str,
    since: str | None,
    until: str | None,
    station: str | None,
    reviewed: bool,
    timezone: str,
) -> None:
    """Write events to OUT, without those reviewed as wrong. The hub may be running."""
    _check_installed()
    from birdwatch.hub.clock import parse_iso
    from birdwatch.hub.exporting import Choice
    from birdwatch.hub.exporting import export as write
    from birdwatch.hub.store import Store

    choice = Choice(
        None if since is None else parse_iso(since, "from"),
        None if until is None else parse_iso(until, "to"),
        station,
        reviewed,
        zone(timezone),
    )
    opened = Store(store or _default_url(state_folder()), read_only=True)
    try:
        count = write(opened, out, kind, choice)
    finally:
        opened.close()
    click.echo(f"{counted(count, 'event')}; {out}", err=True)


@hub.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.pass_obj
def backup(store: str | None, out: Path) -> None:
    """Copy the SQLite store to a new file OUT. The hub may be running."""
    _check_installed()
    from birdwatch.hub.store import Store

    opened = Store(store or _default_url(state_folder()), read_only=True)
    try:
        opened.backup(out)
    finally:
        opened.close()
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB", err=True)


def _default_url(folder: Path) -> str:
    from birdwatch.hub.store import default_url

    return default_url(folder)


def _check_installed() -> None:
    for name in ("alembic", "argon2", "fastapi", "sqlalchemy", "uvicorn"):
        if find_spec(name) is None:
            raise ConfigError(f"birdwatch hub needs the package {name}: {install_command('hub')}")
