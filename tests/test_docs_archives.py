"""The page on archives names only options, forms and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from birdwatch.cli.evaluate import evaluate
from birdwatch.cli.report import report
from birdwatch.cli.run import run
from birdwatch.tables.formats import FORMS

TEXT = (Path(__file__).parents[1] / "docs" / "archives.md").read_text(encoding="utf-8")


def options(command):
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def test_every_option_exists():
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert len(named) > 15
    assert named <= options(run) | options(report) | options(evaluate)


@pytest.mark.parametrize("command", [run, report, evaluate])
def test_options_in_a_command_line_belong_to_its_command(command):
    lines = re.findall(rf"birdwatch {command.name} (.+)", TEXT)
    assert lines
    for line in lines:
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)) <= options(command), line


def test_the_table_holds_every_form():
    assert set(re.findall(r"^\| `[^`]+` \| `([a-z]+)` \|", TEXT, re.MULTILINE)) == set(FORMS)
