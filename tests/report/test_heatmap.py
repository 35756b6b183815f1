from __future__ import annotations

import xml.etree.ElementTree as ET

from birdwatch.report.heatmap import Row, heatmap

COLUMNS = ["0 h", "1 h", "2 h"]


def rects(svg, kind):
    return [item for item in ET.fromstring(svg).iter("rect") if item.get("class") == kind]


def test_cells_show_detections_an_hour_of_recording_and_hatch_what_was_not_recorded():
    rows = [Row("Tit <& Co>", {0: 4, 1: 4})]
    svg = heatmap(rows, COLUMNS, ticks={0: "0"}, hours={0: 1.0, 1: 4.0}, title="By hour", cell_width=20)
    first, second = rects(svg, "cell")
    assert float(first.get("fill-opacity")) == 1.0
    assert float(second.get("fill-opacity")) < 0.6
    assert first.find("title").text == "Tit <& Co>, 0 h: 4 detections, 4.0 an hour of recording"
    assert len(rects(svg, "unheard")) == 1
    assert not rects(svg, "none")
    assert ET.fromstring(svg).get("aria-label") == "By hour"


def test_without_known_hours_cells_show_counts():
    svg = heatmap([Row("a", {2: 3})], COLUMNS, ticks={}, hours=None, title="By hour", cell_width=20)
    assert len(rects(svg, "cell")) == 1
    assert len(rects(svg, "none")) == 2
    assert not rects(svg, "unheard")
