from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from birdwatch.cli import service as module
from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.service.units import Installation


class Machine:
    """A machine whose systemctl writes down what it was told, and whose /etc is a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls_file = folder / "calls"
        self.units, self.configuration = folder / "units", folder / "etc/birdwatch/birdwatch.toml"

    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(module.service, list(words))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(
        f'#!/bin/sh\necho "$@" >> {made.calls_file}\n'
        f'if [ -e {tmp_path}/refuses ]; then echo "Failed: no bus" >&2; exit 1; fi\n'
        f'[ "$1" != status ] || exit 3\n'
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(
        module,
        "_installation",
        lambda user, drop_ins: Installation(user, ("/opt/b/bin/birdwatch",), made.units, made.configuration, drop_ins),
    )
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return made


def test_installing_writes_enables_and_starts(machine: Machine) -> None:
    result = machine.run("install", "--cuda")
    assert result.exit_code == 0, result.output
    unit = machine.units / "birdwatch.service"
    assert "ExecStart=/opt/b/bin/birdwatch listen --config " in unit.read_text()
    assert "char-nvidia" in (machine.units / "birdwatch.service.d" / "cuda.conf").read_text()
    assert not (machine.units / "birdwatch.service.d" / "keys.conf").exists()
    assert 'station = "garden"' in machine.configuration.read_text()
    assert unit.stat().st_mode & 0o777 == 0o644
    assert machine.calls() == ["daemon-reload", "enable birdwatch.service", "restart birdwatch.service"]


def test_a_configuration_that_exists_is_kept(machine: Machine) -> None:
    machine.configuration.parent.mkdir(parents=True)
    machine.configuration.write_text('station = "mine"\n')
    for _ in range(2):
        assert machine.run("install", "--no-start").exit_code == 0
    assert machine.configuration.read_text() == 'station = "mine"\n'
    assert machine.calls() == []


def test_a_dry_run_shows_all_and_writes_nothing(machine: Machine) -> None:
    result = machine.run("install", "--keys", "--dry-run")
    assert "LoadCredential=server.key_secret" in result.output
    assert "station = " in result.output
    assert not machine.units.exists()
    assert not machine.configuration.exists()


def test_uninstalling_leaves_only_the_configuration_and_the_drop_ins_of_others(machine: Machine) -> None:
    machine.run("install", "--cuda", "--keys")
    (machine.units / "birdwatch.service.d" / "mine.conf").write_text("")
    machine.calls_file.unlink()
    assert machine.run("uninstall").exit_code == 0
    left = sorted(str(path.relative_to(machine.units)) for path in machine.units.rglob("*") if path.is_file())
    assert left == ["birdwatch.service.d/mine.conf"]
    assert machine.configuration.exists()
    assert machine.calls() == ["disable --now birdwatch.service", "daemon-reload"]
    assert "nothing is installed here" in str(machine.run("uninstall").exception)


def test_the_status_is_systemctls(machine: Machine) -> None:
    assert "birdwatch service install" in str(machine.run("status").exception)
    machine.run("install", "--no-start")
    assert machine.run("status").exit_code == 3
    assert machine.calls() == ["status --no-pager birdwatch.service"]


def test_a_systemctl_that_fails_is_one_line(machine: Machine) -> None:
    (machine.folder / "refuses").touch()
    error = machine.run("install").exception
    assert isinstance(error, BirdwatchError)
    assert "daemon-reload failed: Failed: no bus" in str(error)


def test_without_systemd_it_is_said(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine.folder))
    assert "there is no systemctl here" in str(machine.run("install").exception)


def test_the_machines_services_are_roots_and_a_users_are_not(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(machine.run("install", "--user").exception, ConfigError)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "use sudo" in str(machine.run("install").exception)
    assert machine.run("install", "--user").exit_code == 0
    assert machine.calls()[0] == "--user daemon-reload"


def test_a_users_files_are_in_its_own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    result = CliRunner().invoke(module.service, ["install", "--user", "--dry-run"])
    assert f"# ---- {tmp_path}/systemd/user/birdwatch.service" in result.output
    assert f"--config {tmp_path}/birdwatch/birdwatch.toml" in result.output


@pytest.mark.parametrize(
    ("configuration", "closed"),
    [
        ("", True),
        ('bind = "tcp://*:5570"\ninsecure_bind = true\n', False),
        ('replay_bind = "tcp://10.0.0.1:5571"\ninsecure_bind = true\n', False),
        ('bind = "ipc:///run/birdwatch/station.sock"\nreplay_bind = "off"\n', True),
        ('[source.pond]\nurl = "rtsp://10.0.0.7/audio"\n', False),
    ],
)
def test_a_station_of_this_machine_alone_is_shut_off_from_others(
    machine: Machine, configuration: str, closed: bool
) -> None:
    loopback = machine.units / "birdwatch.service.d" / "loopback.conf"
    assert machine.run("install", "--no-start").exit_code == 0
    assert "IPAddressDeny=any" in loopback.read_text()
    machine.configuration.write_text(configuration)
    result = machine.run("install", "--no-start")
    assert result.exit_code == 0, result.exception
    assert loopback.exists() == closed


def test_keys_open_the_station_to_others(machine: Machine) -> None:
    assert machine.run("install", "--no-start", "--keys").exit_code == 0
    assert not (machine.units / "birdwatch.service.d" / "loopback.conf").exists()


def test_the_hub_is_a_service_of_its_own(machine: Machine) -> None:
    assert machine.run("install", "--hub").exit_code == 0
    assert "/birdwatch hub $BIRDWATCH_HUB_ARGS" in (machine.units / "birdwatch-hub.service").read_text()
    assert (machine.configuration.parent / "hub.env").exists()
    assert machine.calls() == ["daemon-reload", "enable birdwatch-hub.service", "restart birdwatch-hub.service"]
    assert not (machine.units / "birdwatch.service").exists()
    assert machine.run("uninstall", "--hub").exit_code == 0
    assert not (machine.units / "birdwatch-hub.service").exists()
    assert "goes with --no-start" in str(machine.run("install", "--hub", "--user").exception)
