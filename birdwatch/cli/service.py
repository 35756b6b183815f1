"""`birdwatch service`: installs, removes and inspects the systemd service."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

import click

from birdwatch.atomic_write import written_beside
from birdwatch.config.loading import Configuration
from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.messaging.endpoint import is_local
from birdwatch.service.units import DROP_INS, HUB_NAME, NAME, Installation, shipped

__all__ = ["service"]


@click.group()
def service() -> None:
    """Install, remove or inspect `birdwatch listen` as a systemd service."""


_user = click.option(
    "--user", is_flag=True, help="A user service, for desktops with PulseAudio or PipeWire. No root needed."
)


_hub = click.option("--hub", is_flag=True, help="The service of `birdwatch hub` instead.")


@service.command()
@_user
@_hub
@click.option("--cuda", is_flag=True, help="Give it access to an NVIDIA GPU.")
@click.option("--keys", is_flag=True, help="Give it the CURVE keys in /etc/birdwatch/keys.")
@click.option("--no-start", is_flag=True, help="Only write the files.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
def install(user: bool, hub: bool, cuda: bool, keys: bool, no_start: bool, dry_run: bool) -> None:
    """Install the service, start it, and enable it at boot. An existing configuration is kept."""
    if hub:
        _install_hub(user or cuda or keys, no_start=no_start, dry_run=dry_run)
        return
    chosen = {"cuda": cuda, "keys": keys, "loopback": not keys and not user and _stays_here(_installation(user, ()))}
    place = _installation(user, tuple(name for name in DROP_INS if chosen[name]))
    files = place.files()
    if not place.configuration.exists():
        files[place.configuration] = shipped("birdwatch.toml")
    if dry_run:
        for path, text in files.items():
            click.echo(f"# ---- {path}\n{text}")
        return
    _check_rights(user)
    # An earlier installation may have had another configuration.
    (place.drop_in_folder / "loopback.conf").unlink(missing_ok=True)
    for path, text in files.items():
        _write(path, text)
        click.echo(f"wrote {path}")
    if no_start:
        return
    _systemctl(user, "daemon-reload")
    _systemctl(user, "enable", NAME)
    # `restart` also starts a stopped unit, and applies the new files if it was running.
    _systemctl(user, "restart", NAME)
    click.echo(f"birdwatch is listening and starts at every boot; its settings are in {place.configuration}")
    if user:
        click.echo("it ends when you log out; to keep it running: loginctl enable-linger")


def _install_hub(others: bool, *, no_start: bool, dry_run: bool) -> None:
    """Install the hub's system service; the options in hub.env name its keys."""
    if others:
        raise ConfigError("--hub goes with --no-start and --dry-run only; without a service run `birdwatch hub`")
    place = _hub_of(_installation(False, ()))
    files = place.files()
    if not place.configuration.exists():
        files[place.configuration] = shipped(place.configuration.name)
    if dry_run:
        for path, text in files.items():
            click.echo(f"# ---- {path}\n{text}")
        return
    _check_rights(False)
    for path, text in files.items():
        _write(path, text)
        click.echo(f"wrote {path}")
    if no_start:
        return
    for words in (("daemon-reload",), ("enable", HUB_NAME), ("restart", HUB_NAME)):
        _systemctl(False, *words)
    click.echo(f"the hub is running and starts at every boot; its options are in {place.configuration}")


def _hub_of(place: Installation) -> Installation:
    return replace(place, hub=True, drop_ins=(), configuration=place.configuration.with_name("hub.env"))


@service.command()
@_user
@_hub
def uninstall(user: bool, hub: bool) -> None:
    """Stop the service and remove its unit. The configuration and the message log are kept."""
    place = _installation(user, DROP_INS)
    place = _hub_of(place) if hub else place
    _check_rights(user)
    if not place.unit.exists():
        raise ConfigError(f"there is no {place.unit}; nothing is installed here")
    _systemctl(user, "disable", "--now", place.name)
    for path in (place.unit, *(place.drop_in_folder / f"{name}.conf" for name in DROP_INS)):
        if path.exists():
            path.unlink()
            click.echo(f"removed {path}")
    if place.drop_in_folder.is_dir() and not any(place.drop_in_folder.iterdir()):
        place.drop_in_folder.rmdir()
    _systemctl(user, "daemon-reload")
    click.echo(f"{place.configuration} and the recorded data were kept")


@service.command()
@_user
@_hub
def status(user: bool, hub: bool) -> None:
    """Show the service's state and last log lines; the exit code is systemctl's (0: it is running)."""
    place = _installation(user, ())
    place = _hub_of(place) if hub else place
    if not place.unit.exists():
        raise ConfigError(f"there is no {place.unit}; install it with `birdwatch service install`")
    sys.stdout.flush()
    sys.exit(subprocess.run(_call(user, "status", "--no-pager", place.name), check=False).returncode)


def _installation(user: bool, drop_ins: tuple[str, ...]) -> Installation:
    if user:
        settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        units, configuration = settings / "systemd/user", settings / "birdwatch/birdwatch.toml"
    else:
        units, configuration = Path("/etc/systemd/system"), Path("/etc/birdwatch/birdwatch.toml")
    return Installation(user, _program(), units, configuration, drop_ins, (Path(sys.executable), Path(sys.prefix)))


def _stays_here(place: Installation) -> bool:
    """Whether the configuration needs no connection to other machines."""
    if not place.configuration.exists():
        return True
    loaded = Configuration(place.configuration, {}, environ={}).read()
    settings = [loaded.settings, *loaded.sources.values()]
    endpoints = (loaded.settings.bind, loaded.settings.replay_bind)
    return all(end == "off" or is_local(end) for end in endpoints) and not any(one.url for one in settings)


def _program() -> tuple[str, ...]:
    """The command line that a service uses to call this installation."""
    script = Path(sys.executable).with_name("birdwatch")
    if script.is_file() and os.access(script, os.X_OK):
        return (str(script),)
    return (sys.executable, "-m", "birdwatch")


def _check_rights(user: bool) -> None:
    if not user and os.geteuid() != 0:
        raise ConfigError("a system service needs root: use sudo, or --user for a user service")
    if user and os.geteuid() == 0:
        raise ConfigError("--user is for users who log in, not for root; leave it out")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as stream:
        cast(IO[str], stream).write(text)
    # Whatever the umask: systemd and the service read them.
    path.chmod(0o644)


def _call(user: bool, *words: str) -> list[str]:
    program = shutil.which("systemctl")
    if program is None:
        raise ConfigError("there is no systemctl here; without systemd, run `birdwatch listen` directly")
    return [program, *(["--user"] if user else []), *words]


def _systemctl(user: bool, *words: str) -> None:
    call = _call(user, *words)
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()
        raise BirdwatchError(f"{' '.join(call)} failed: {reason[0] if reason else f'exit code {done.returncode}'}")
