"""The files of the hub's page, read without a browser: they work offline, below any prefix, under a strict policy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "birdwatch" / "hub" / "page"
TEXTS = sorted(path for path in PAGE.rglob("*") if path.suffix in (".js", ".css", ".html"))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_file_names_another_host(path):
    addresses = re.findall(r"https?://[^\s\"')]+", path.read_text())
    # The name of SVG's namespace is not fetched.
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


def test_the_page_has_nothing_inline():
    text = (PAGE / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)


@pytest.mark.parametrize("path", [path for path in TEXTS if path.suffix == ".js"], ids=lambda path: path.name)
def test_every_import_is_relative_and_there(path):
    for name in re.findall(r"^import .*from \"(.+)\";$|import\(\"([^\"]+)\"\)", path.read_text(), re.MULTILINE):
        name = name[0] or name[1]
        assert name.startswith("."), name
        assert (path.parent / name).is_file(), name


def test_addresses_in_the_page_are_relative():
    for path in TEXTS:
        found = re.findall(r"(?:src|href)=\"(/[^\"]*)\"|url\((/[^)]*)\)", path.read_text())
        assert found == [], path.name


def test_no_markup_is_made_of_strings():
    for path in TEXTS:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text()), path


def test_each_font_has_its_licence():
    for font in (PAGE / "fonts").glob("*.woff2"):
        family = font.name.split("-latin")[0]
        assert "SIL Open Font License" in (PAGE / "fonts" / f"{family}.LICENSE.txt").read_text()


def test_modules_stay_short():
    for path in TEXTS:
        if path.suffix == ".js":
            assert len(path.read_text().splitlines()) < 300, path.name
