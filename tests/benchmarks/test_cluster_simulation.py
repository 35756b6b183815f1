"""The simulation against cases that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.cluster_simulation import Load, simulate

IDEAL = Load(workers=10, units=100, spread=0.0, slow_share=0.0, preempted_every_s=1e12, scheduler_s=0.0, driver_s=0.0)


def changed(**values) -> Load:
    return replace(IDEAL, **values)


def test_equal_units_on_equal_workers_leave_no_worker_idle():
    out = simulate(IDEAL)
    assert out.wall_s == pytest.approx(10 * 120)
    assert out.efficiency == pytest.approx(1.0)
    assert (out.lost_s, out.preemptions) == (0, 0)


def test_one_unit_more_than_there_are_workers_costs_a_whole_round():
    assert simulate(changed(units=101)).efficiency == pytest.approx(101 / 110)


def test_a_scheduler_that_is_too_slow_sets_the_pace():
    # 10 workers ask once per 120 s; a scheduler of 24 s a unit serves 5 in that time.
    out = simulate(changed(scheduler_s=24.0))
    assert out.efficiency == pytest.approx(0.5, abs=0.05)
    assert out.scheduler_busy > 0.9


def test_a_driver_that_is_too_slow_delays_the_end_and_not_the_workers():
    out = simulate(changed(driver_s=24.0))
    assert out.wall_s == pytest.approx(120 + 100 * 24.0)
    assert out.driver_busy == pytest.approx(100 * 24.0 / out.wall_s)


def test_a_slow_worker_does_less_and_delays_the_last_unit():
    out = simulate(changed(slow_share=0.1, slow_factor=2.0, units=95))
    # 9 workers do 10 units in the time in which the slow one does 5.
    assert out.wall_s == pytest.approx(1200)
    assert out.efficiency == pytest.approx(1.0)


def test_preemption_loses_half_a_unit_on_average_and_the_time_until_the_worker_is_back():
    load = changed(units=5000, preempted_every_s=3600.0)
    out = simulate(load)
    expected = out.wall_s * load.workers / (load.preempted_every_s + load.back_after_s)
    assert out.preemptions == pytest.approx(expected, rel=0.1)
    assert out.lost_s == pytest.approx(out.preemptions * load.unit_s / 2, rel=0.1)
    assert out.efficiency == pytest.approx(3600 / 3900 * (1 - 60 / 3600), rel=0.02)
