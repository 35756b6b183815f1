"""`birdwatch hub` as it is called: what is refused is one line, and the first steps of docs/hub.md serve a page."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing

import httpx
import pytest
from hub_process import PASSWORD, call, hub_process

pytestmark = pytest.mark.slow

pytest.importorskip("sqlalchemy", reason="pip install '.[hub]'")


def refused(folder, *words: str) -> str:
    """The one line that says why."""
    done = call(folder, *words)
    assert done.returncode == 1, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("birdwatch hub: http"))
    assert line.startswith("birdwatch: ")
    return line


def test_without_a_password_other_machines_are_refused(tmp_path):
    assert "set one with `birdwatch hub password`" in refused(tmp_path, "--http", "0.0.0.0:0")
    # Nor is an address told that nothing serves.
    assert "0.0.0.0:0/" not in call(tmp_path, "--http", "0.0.0.0:0").stderr


def test_a_busy_address_is_said(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"{address} cannot be bound" in refused(tmp_path, "--http", address)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--http", "8080"), "expected HOST:PORT"),
        (("--station", "shed"), "shed"),
        (("--station", "a=tcp://127.0.0.1:1", "--station", "a=tcp://127.0.0.1:2"), "given twice"),
        (("--store", "mysql://x"), "expected sqlite"),
        (("--store", "postgresql://hub@127.0.0.1:1/none?connect_timeout=2"), "cannot be opened"),
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path, words, why):
    assert why in refused(tmp_path, *words)


def test_the_first_steps_lead_to_a_page_that_asks_for_the_password(tmp_path):
    done = call(tmp_path, "password", BIRDWATCH_HUB_PASSWORD=PASSWORD)
    assert (done.returncode, done.stderr) == (0, "the password was set\n")
    with hub_process(tmp_path) as address, httpx.Client(base_url=f"http://{address}/") as browser:
        assert browser.get("").text.startswith("<!doctype html>")
        session = browser.get("api/v1/session").json()
        assert (session["password_set"], session["signed_in"]) == (True, False)
        assert browser.get("api/v1/events").status_code == 401
        # A second one beside it would write to the same store.
        assert "in use by" in refused(tmp_path, "--http", "127.0.0.1:0")
        # A password may be changed meanwhile, and nothing of it is in the store as it was typed.
        assert call(tmp_path, "password", BIRDWATCH_HUB_PASSWORD="another-password").returncode == 0
    with closing(sqlite3.connect(tmp_path / "state" / "birdwatch" / "hub.db")) as store:
        kept = dict(store.execute("SELECT name, value FROM properties").fetchall())
    assert kept["password"].startswith("$argon2id$")
    assert "another-password" not in "".join(kept.values())
