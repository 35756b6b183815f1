"""Numbers and names as people read them."""

from __future__ import annotations

import pytest

from birdwatch.wording import audio_text, counted, listed, printable, verb, work_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 s"), (1.04, "1.0 s"), (59.9, "59.9 s"), (97.0, "1.6 min"), (3599.0, "60.0 min"), (29700.0, "8.25 h")],
)
def test_an_amount_of_audio_has_a_unit_of_its_size(seconds: float, text: str) -> None:
    assert audio_text(seconds) == text


def test_long_lists_are_counted() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([]) == ""
    assert listed([str(i) for i in range(10)]).endswith("8, 9")
    assert listed([str(i) for i in range(12)]).endswith("8, 9 and 2 more")
    assert listed(["a", "b", "c"], 1) == "a and 2 more"


def test_one_has_no_plural() -> None:
    assert (counted(1, "packet"), counted(0, "packet"), counted(2, "entry", "entries")) == (
        "1 packet",
        "0 packets",
        "2 entries",
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Großer Specht 😀.wav", "Großer Specht 😀.wav"),
        ("\x1b[31mred\n.wav", r"\x1b[31mred\n.wav"),
        ("\u202egnp.wav", r"\u202egnp.wav"),
        ("caf\udce9.wav", r"caf\udce9.wav"),
    ],
)
def test_a_name_cannot_steer_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("core_s", "text"),
    [
        (0.0175, "0.018 s of one core, under 0.01 core-hours"),
        (35.2, "35 s of one core, under 0.01 core-hours"),
        (36.0, "0.01 core-hours"),
        (4.5e6, "1,250 core-hours"),
    ],
)
def test_an_amount_of_work(core_s: float, text: str) -> None:
    assert work_text(core_s) == text


def test_verbs_agree_with_their_number() -> None:
    assert [verb(number, "is", "are") for number in range(3)] == ["are", "is", "are"]
