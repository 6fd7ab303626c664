"""Draws what a benchmark compared as an SVG: one group of bars for each figure, with the value beside each bar.

Text stays text, and the picture has a background of its own, so it is readable on light and dark pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

# Measures of the picture in its own units, which are pixels at its natural size.
WIDTH, LEFT, RIGHT = 720, 190, 100
LINE, BAR, GAP, TOP, BOTTOM = 26, 18, 22, 84, 16
#: Fills of the bars in turn, on a light and on a dark page.
COLOURS = (("#8a8f98", "#7d838d"), ("#2f6fb5", "#5b9bd8"), ("#1d8a5b", "#4db78a"))


@dataclass(frozen=True)
class Figure:
    """One thing that was measured: its title with the unit, and its value for each of the compared ways."""

    title: str
    values: Mapping[str, float]


def draw(title: str, note: str, figures: Sequence[Figure]) -> str:
    """The SVG. Shorter bars are better; each group has a scale of its own."""
    rows, y = [], TOP
    for figure in figures:
        rows.append(f'<text class="head" x="20" y="{y}">{escape(figure.title)}</text>')
        y += 10
        most = max(figure.values.values())
        for number, (name, value) in enumerate(figure.values.items()):
            width = round((WIDTH - LEFT - RIGHT) * value / most) if most else 0
            middle = y + LINE / 2 + 5
            rows += [
                f'<text x="{LEFT - 10}" y="{middle:g}" text-anchor="end">{escape(name)}</text>',
                f'<rect class="bar{number % len(COLOURS)}" x="{LEFT}" y="{y + (LINE - BAR) / 2:g}" width="{width}" '
                f'height="{BAR}" rx="2"/>',
                f'<text class="value" x="{LEFT + width + 8}" y="{middle:g}">{value:.0f}</text>',
            ]
            y += LINE
        y += GAP + 8
    height = y - GAP + BOTTOM
    spoken = "; ".join(
        f"{figure.title}: {', '.join(f'{name} {value:.0f}' for name, value in figure.values.items())}"
        for figure in figures
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title description">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="description">{escape(spoken)}</desc>',
            _style(),
            f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
            f'<text class="title" x="20" y="30">{escape(title)}</text>',
            f'<text class="note" x="20" y="52">{escape(note)}</text>',
            *rows,
            "</svg>\n",
        ]
    )


def _style() -> str:
    light = _colours("#ffffff", "#1f2328", "#59636e", [pair[0] for pair in COLOURS])
    dark = _colours("#161b22", "#e6edf3", "#9da7b3", [pair[1] for pair in COLOURS])
    return (
        "<style>\n"
        "text { font: 14px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; }\n"
        ".title { font-size: 17px; font-weight: 600; }\n"
        ".head, .value { font-weight: 600; }\n"
        ".note { font-size: 13px; }\n"
        f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n</style>"
    )


def _colours(page: str, text: str, note: str, bars: Sequence[str]) -> str:
    rules = [f".page {{ fill: {page}; }}", f"text {{ fill: {text}; }}", f".note {{ fill: {note}; }}"]
    return "\n".join(rules + [f".bar{number} {{ fill: {colour}; }}" for number, colour in enumerate(bars)])
