from __future__ import annotations

import json
from pathlib import Path

from birdwatch.batch.jobs import Job
from birdwatch.batch.progress import Meter, json_view


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def job(name, duration_s):
    return Job(name, Path(name), None, 1, 1, duration_s)


def test_speed_and_time_to_go_are_those_of_this_run():
    clock = Clock()
    a, b = job("a", 3600.0), job("b", 1800.0)
    meter = Meter([a, b], resumed=7, clock=clock)
    assert meter.snapshot()["eta_s"] is None
    clock.now += 10
    meter.advance(a, 1000.0)
    state = meter.snapshot()
    assert (state["recordings"], state["done"], state["resumed"]) == (9, 0, 7)
    assert (state["audio_s_done"], state["audio_s_left"]) == (1000.0, 4400.0)
    assert (state["times_real_time"], state["eta_s"]) == (100.0, 44.0)


def test_audio_that_was_promised_and_is_not_there_is_not_left_to_do():
    clock = Clock()
    a, b = job("a", 3600.0), job("b", 1800.0)
    meter = Meter([a, b], clock=clock)
    clock.now += 1
    meter.advance(a, 100.0)
    meter.finish(a, warned=True)
    assert meter.snapshot()["audio_s_left"] == 1800.0
    meter.advance(b, 50.0)
    meter.finish(b, failed=True)
    state = meter.snapshot()
    assert (state["audio_s_left"], state["done"], state["failed"], state["warnings"]) == (0.0, 1, 1, 1)
    assert state["audio_s_done"] == 150.0


def test_audio_that_is_longer_than_promised_does_not_count_down_that_of_others():
    a, b = job("a", 10.0), job("b", 1800.0)
    meter = Meter([a, b], clock=Clock())
    for _ in range(4):
        meter.advance(a, 5.0)
    meter.finish(a)
    assert meter.snapshot()["audio_s_left"] == 1800.0


def test_json_lines_come_once_a_second_and_at_the_end(capsys):
    clock = Clock()
    meter = Meter([job("a", 10.0)], clock=clock)
    with json_view(meter) as show:
        for _ in range(25):
            clock.now += 0.1
            show()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["kind"] for line in lines] == ["progress"] * 3 + ["scored"]
