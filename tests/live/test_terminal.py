"""What a terminal shows."""

from __future__ import annotations

import io

from rich.console import Console

from birdwatch.audio.levels import Level
from birdwatch.live import terminal as module
from birdwatch.live.terminal import Display
from birdwatch.messaging.messages import Seconds, Status

STATUS = Status(
    state="degraded",
    device="ALSA/Garden microphone",
    provider="CPUExecutionProvider",
    model="birdwatch-71",
    model_sha256="0" * 64,
    seconds=Seconds(captured=61.2, dropped=2.5),
    latency_p50_ms=40.0,
    latency_p95_ms=61.6,
    windows=24,
    detections=3,
    reason="inference is slower than real time",
)


def shown(level: Level, *detections: tuple[str, float]) -> str:
    out = io.StringIO()
    with Display(Console(file=out, width=100, force_terminal=False), "garden") as display:
        for number, (name, score) in enumerate(detections):
            display.detected(name, score, (1_746_072_000 + number) * 1_000_000_000)
        display.show(STATUS, level)
    return out.getvalue()


def test_state_level_counts_and_detections():
    text = shown(Level(-40.0, -20.0, ("clipping",)), ("Great Tit", 0.912), ("European Robin", 0.5))
    state, meter, counts, reason, *rows = text.splitlines()
    assert state.split() == ["garden", "degraded", "ALSA/Garden", "microphone", "birdwatch-71", "on", "CPU"]
    assert meter.startswith("█" * 20 + "░" * 10 + "·" * 10)
    assert "-40.0 dB, peak  -20.0 dB  clipping" in meter
    assert counts == "captured 61 s, 24 windows, 3 detections, dropped 2.5 s, 62 ms from sound to message (p95)"
    assert reason == "inference is slower than real time"
    # The newest on top.
    assert [row.split()[1:] for row in rows] == [["European", "Robin", "0.50"], ["Great", "Tit", "0.91"]]


def test_old_detections_leave_the_screen():
    names = [f"Bird {number}" for number in range(30)]
    text = shown(Level(), *[(name, 0.9) for name in names])
    assert "Bird 29" in text
    assert "Bird 20" in text
    assert "Bird 19" not in text


def test_it_is_drawn_a_few_times_a_second(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    display = Display(Console(file=io.StringIO()), "garden")
    due = 0
    for _ in range(200):
        now[0] += 0.05
        due += display.due()
    assert 30 <= due <= 41  # 4 a second, each at the next block


def test_the_meter_stays_inside_its_ends():
    for level in (Level(-150.0, -150.0), Level(0.0, 3.0)):
        bar = shown(level).splitlines()[1].split(" ")[0]
        assert len(bar) == 40
