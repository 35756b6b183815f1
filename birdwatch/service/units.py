"""birdwatch's systemd units, adapted to this machine: the paths and contents of the files to install."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from birdwatch.errors import ConfigError

__all__ = ["HUB_NAME", "NAME", "Installation", "shipped"]

NAME = "birdwatch.service"
HUB_NAME = "birdwatch-hub.service"
DROP_INS = ("cuda", "keys", "loopback")

# Folders that a user made by DynamicUser cannot read.
HOMES = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")


def shipped(name: str) -> str:
    """The text of a file below `systemd/`: a package of its own in a wheel, in a checkout beside the code."""
    package = files("birdwatch")
    for folder in (package / "systemd", Path(str(package)).parent / "systemd"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise ConfigError(f"systemd/{name} is not part of this installation; install birdwatch again")


@dataclass(frozen=True, slots=True)
class Installation:
    """What `birdwatch service install` puts where.

    user: for the one who is logged in, not for the machine. command: the program, as a service calls it. needs:
    what else it has to be able to read (the interpreter). units and configuration: systemd's folder and the TOML
    file. drop_ins: names out of DROP_INS.
    """

    user: bool
    command: tuple[str, ...]
    units: Path
    configuration: Path
    drop_ins: tuple[str, ...] = ()
    needs: tuple[Path, ...] = ()
    hub: bool = False

    @property
    def name(self) -> str:
        """The unit's name."""
        return HUB_NAME if self.hub else NAME

    @property
    def unit(self) -> Path:
        """The unit's file."""
        return self.units / self.name

    @property
    def drop_in_folder(self) -> Path:
        """Where drop-ins of ours, and of others, are."""
        return self.units / f"{self.name}.d"

    def files(self) -> dict[Path, str]:
        """Every file but the configuration, with its text. Raises ConfigError where the service could not start."""
        hidden = next((path for path in (Path(self.command[0]), *self.needs) if _hidden(path)), None)
        if not self.user and hidden is not None:
            raise ConfigError(
                f"{hidden} cannot be read by the service's user: install birdwatch elsewhere, with a Python "
                "that is elsewhere too (/usr/bin/python3 -m venv /opt/birdwatch; /opt/birdwatch/bin/pip install "
                "birdwatch; /opt/birdwatch/bin/birdwatch service install), or use --user"
            )
        text = shipped(f"user/{self.name}" if self.user else self.name)
        words = ["hub"] if self.hub else ["listen", "--config", str(self.configuration)]
        # A percent sign begins a specifier in a unit, a dollar sign a variable.
        call = shlex.join([*self.command, *words]).replace("%", "%%").replace("$", "$$")
        call += " $BIRDWATCH_HUB_ARGS" if self.hub else ""
        out = {self.unit: re.sub(r"(?m)^ExecStart=.*$", lambda _: f"ExecStart={call}", text)}
        for name in self.drop_ins:
            out[self.drop_in_folder / f"{name}.conf"] = shipped(f"drop-ins/{name}.conf")
        return out


def _hidden(path: Path) -> bool:
    """Whether a path, as it is called or as what it leads to, is below a folder of HOMES."""
    return any(place.is_relative_to(home) for place in (path, path.resolve()) for home in HOMES)
