"""`birdwatch hub`: keep what stations publish, and show it to browsers."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import click

from birdwatch.config.loading import state_folder
from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError, SinkError
from birdwatch.extras import install_command

__all__ = ["hub"]

DEFAULT_HTTP = "127.0.0.1:8080"

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
@click.option("--http", default=DEFAULT_HTTP, show_default=True, help="Where browsers connect.")
@_store
@click.option("--public", is_flag=True, help="Whoever comes may look; changes need the password.")
@click.option(
    "--clips-max-gb", type=click.FloatRange(0), default=5.0, show_default=True, help="Size of all clips held."
)
@click.option("--model", help="A model whose label languages the page offers.")
@click.option("--prefix", default="", help="The path under which a reverse proxy shows the hub.")
@click.option("--host-name", "hosts", multiple=True, help="A name under which browsers call it; may be repeated.")
@click.pass_context
def hub(
    context: click.Context,
    stations: tuple[str, ...],
    http: str,
    store: str | None,
    public: bool,
    clips_max_gb: float,
    model: str | None,
    prefix: str,
    hosts: tuple[str, ...],
) -> None:
    """Subscribe to stations, keep every message once, and serve the page and the API."""
    context.obj = store
    if context.invoked_subcommand is not None:
        return
    _check_installed()
    from birdwatch.hub.hub import Hub, HubSettings
    from birdwatch.hub.origin import parse_origin
    from birdwatch.hub.server import parse_address, serve
    from birdwatch.model.registry import find_model

    parse_address(http)
    origins = tuple(parse_origin(text) for text in stations or (Settings().bind,))
    names = [origin.name for origin in origins]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"station {twice!r} is given twice; give each a name of its own", setting="station")
    folder = state_folder()
    settings = HubSettings(
        origins,
        folder,
        store or _default_url(folder),
        public=public,
        hosts=hosts,
        clips_max_gb=clips_max_gb,
        model=None if model is None else find_model(Path(model)),
    )
    made = Hub(settings)
    click.echo(f"birdwatch hub: http://{http}{prefix}/ ; {len(origins)} stations; {made.store.name}", err=True)
    try:
        serve(made, http, prefix=prefix)
    finally:
        made.close()


@hub.command()
@click.option("--remove", is_flag=True, help="Do without a password; only loopback can then be served.")
@click.pass_obj
def password(store: str | None, remove: bool) -> None:
    """Set the password that the page asks for; all sessions end. From a terminal, or BIRDWATCH_HUB_PASSWORD."""
    _check_installed()
    from birdwatch.hub.access import Access
    from birdwatch.hub.store import Store

    url = store or _default_url(state_folder())
    try:
        opened = Store(url)
    except SinkError:
        # A hub runs on it, and reads the password again by itself.
        opened = Store(url, read_only=True)
    try:
        given = os.environ.get("BIRDWATCH_HUB_PASSWORD")
        if not remove and given is None:
            given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        Access(opened).set_password(None if remove else given)
    finally:
        opened.close()
    click.echo("the password is removed" if remove else "the password is set", err=True)


def _default_url(folder: Path) -> str:
    from birdwatch.hub.store import default_url

    return default_url(folder)


def _check_installed() -> None:
    for name in ("alembic", "argon2", "fastapi", "sqlalchemy", "uvicorn"):
        if find_spec(name) is None:
            raise ConfigError(f"birdwatch hub needs the package {name}: {install_command('hub')}")
