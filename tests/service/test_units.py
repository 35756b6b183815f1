from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from birdwatch.config.loading import Configuration
from birdwatch.errors import ConfigError
from birdwatch.service.units import DROP_INS, Installation, shipped

# The project's bound for `systemd-analyze security` (0 is closed, 10 is open).
EXPOSURE = 2.5


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    return program


def written(folder: Path, *, user: bool = False, drop_ins: tuple[str, ...] = ()) -> Path:
    """Write the unit with a program that exists, as an installation does."""
    place = Installation(user, ("/bin/true",), folder, folder / "birdwatch.toml", drop_ins)
    for path, text in place.files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return place.unit


@pytest.mark.parametrize("drop_ins", [(), ("cuda",), ("keys",), DROP_INS])
def test_the_unit_is_clean(analyze: str, tmp_path: Path, drop_ins: tuple[str, ...]) -> None:
    unit = written(tmp_path, drop_ins=drop_ins)
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_verify_does_notice_a_mistake(analyze: str, tmp_path: Path) -> None:
    unit = written(tmp_path)
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSeconds="))
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60)
    assert "WatchdogSeconds" in done.stdout + done.stderr


def test_the_users_unit_is_clean(analyze: str, tmp_path: Path) -> None:
    unit = written(tmp_path, user=True)
    done = subprocess.run(
        [analyze, "verify", "--user", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("drop_ins", [(), DROP_INS])
def test_the_unit_is_hardened(analyze: str, tmp_path: Path, drop_ins: tuple[str, ...]) -> None:
    unit = written(tmp_path, drop_ins=drop_ins)
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True, timeout=60
    )
    found = re.search(r"Overall exposure level for birdwatch\.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= EXPOSURE


def test_sound_still_works_in_it() -> None:
    lines = shipped("birdwatch.service").splitlines()
    assert "DeviceAllow=char-alsa rw" in lines
    assert "SupplementaryGroups=audio" in lines
    assert not [line for line in lines if re.match(r"Private(Devices|Network)=yes|RestrictAddressFamilies=none", line)]


def test_what_zeromq_cannot_do_without_is_allowed() -> None:
    # It aborts the process where it may not set its threads' scheduling or list the network's interfaces.
    lines = shipped("birdwatch.service").splitlines()
    assert not [line for line in lines if line.startswith("SystemCallFilter=~") and "@resources" in line]
    (families,) = (line for line in lines if line.startswith("RestrictAddressFamilies="))
    assert "AF_NETLINK" in families


def test_the_unit_restarts_always_and_the_watchdog_follows_progress() -> None:
    lines = shipped("birdwatch.service").splitlines()
    for line in ("Type=notify", "Restart=always", "StartLimitIntervalSec=0", "DynamicUser=yes"):
        assert line in lines
    assert any(line.startswith("WatchdogSec=") for line in lines)


@pytest.mark.parametrize("uncommented", [False, True])
def test_the_example_configuration_is_accepted(tmp_path: Path, uncommented: bool) -> None:
    text = shipped("birdwatch.toml")
    if uncommented:
        text = re.sub(r"(?m)^# (?=\[class|[a-z_]+ = )", "", text)
        assert "\n[class.houspa]\n" in text
    (tmp_path / "b.toml").write_text(text)
    settings = Configuration(tmp_path / "b.toml", environ={}).read().settings
    assert settings.station == "garden"
    assert ("houspa" in settings.class_) is uncommented


def test_the_programs_path_and_its_odd_signs_are_kept(tmp_path: Path) -> None:
    place = Installation(False, ("/opt/my birds/100%/$x/birdwatch",), tmp_path, Path("/etc/birdwatch.toml"))
    (line,) = (line for line in place.files()[place.unit].splitlines() if line.startswith("ExecStart="))
    assert line == "ExecStart='/opt/my birds/100%%/$$x/birdwatch' listen --config /etc/birdwatch.toml"


@pytest.mark.parametrize("program", ["/home/me/venv/bin/birdwatch", "/root/.local/bin/birdwatch", "LINK"])
def test_a_program_that_the_service_could_not_read_is_refused(tmp_path: Path, program: str) -> None:
    if program == "LINK":
        (tmp_path / "birdwatch").symlink_to("/home/me/birdwatch")
        program = str(tmp_path / "birdwatch")
    with pytest.raises(ConfigError, match="cannot be read by the service's user: install birdwatch elsewhere"):
        Installation(False, (program,), tmp_path, tmp_path / "b.toml").files()
    assert Installation(True, (program,), tmp_path, tmp_path / "b.toml").files()


def test_an_interpreter_that_the_service_could_not_read_is_refused(tmp_path: Path) -> None:
    needs = (Path("/home/me/.pyenv/bin/python"),)
    with pytest.raises(ConfigError, match=r"\.pyenv/bin/python cannot be read by the service's user"):
        Installation(False, ("/opt/b/bin/birdwatch",), tmp_path, tmp_path / "b.toml", (), needs).files()


def test_a_part_that_is_not_shipped_is_named() -> None:
    with pytest.raises(ConfigError, match="install birdwatch again"):
        shipped("none.service")


def test_the_hubs_unit_is_clean_and_hardened(analyze: str, tmp_path: Path) -> None:
    place = Installation(False, ("/bin/true",), tmp_path, tmp_path / "hub.env", hub=True)
    for path, text in place.files().items():
        path.write_text(text)
    assert "ExecStart=/bin/true hub $BIRDWATCH_HUB_ARGS\n" in place.unit.read_text()
    done = subprocess.run([analyze, "verify", "--man=no", str(place.unit)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(place.unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = re.search(r"Overall exposure level for birdwatch-hub\.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= EXPOSURE
