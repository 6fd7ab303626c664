"""The plot of a benchmark: valid SVG with its figures as text, and bars in proportion."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from benchmarks import class_start
from benchmarks.chart import Figure, draw

pytestmark = pytest.mark.unit

SVG = "{http://www.w3.org/2000/svg}"


def bars(svg: str) -> list[int]:
    """Widths of the bars."""
    return [int(one.attrib["width"]) for one in ET.fromstring(svg).iter(f"{SVG}rect") if "bar" in one.attrib["class"]]


def test_bars_are_in_proportion_and_values_are_text() -> None:
    svg = draw("A & B", "two < three", [Figure("Seconds", {"one": 40, "two": 20}), Figure("MB", {"one": 0, "two": 0})])
    first, second, *none = bars(svg)
    assert first == 2 * second
    assert none == [0, 0]
    words = [one.text for one in ET.fromstring(svg).iter(f"{SVG}text")]
    assert {"A & B", "two < three", "Seconds", "one", "two", "40", "20"} <= set(words)


def run(seconds: float) -> dict[str, Any]:
    return {"first answer": {"max": seconds, "p50": seconds / 2}, "a student's MB": 200.0, "CPU seconds": 100.0}


def test_earlier_run_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the median of several runs."""
    earlier, plot = tmp_path / "run.json", tmp_path / "plot.svg"
    runs = {"stock": [run(100), run(90), run(140)], "ours": [run(50)], "ours, started": [run(25)]}
    earlier.write_text(json.dumps({"runs": runs}))
    argv = ["class_start", "--drawn-from", str(earlier), "--plot", str(plot), "--note", "that day"]
    monkeypatch.setattr("sys.argv", argv)
    assert class_start.main() == 0
    stock, ours, started = bars(plot.read_text())[:3]
    assert (stock, ours, started) == (430, 215, 108)
    assert "that day" in plot.read_text()
