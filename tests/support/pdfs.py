"""A notebook with everything that a class uses, and the content of a PDF made from it."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from typing import Any


def png(width: int, height: int) -> str:
    """A picture of one colour, as a notebook stores it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\x30\x60\xff" * width) * height
    made = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(made).decode()


def table(columns: int, rows: int) -> str:
    """A table in pandas' HTML."""
    heads = "".join(f"<th>column {number}</th>" for number in range(columns))
    body = "".join(
        f"<tr><th>{row}</th>{''.join(f'<td>{row * 1.25:.4f}</td>' for _ in range(columns))}</tr>" for row in range(rows)
    )
    return (
        f'<div><style scoped>.dataframe {{}}</style><table class="dataframe"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def result(**data: str) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": {k.replace("_", "/", 1): v for k, v in data.items()}}


def code(source: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": source, "outputs": list(outputs)}


def text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def notebook(*cells: dict[str, Any]) -> dict[str, Any]:
    numbered = [{**cell, "id": f"cell-{number}"} for number, cell in enumerate(cells)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": numbered}


#: Umlauts, formulas, plots, a wide table, Chinese and emoji.
EVERYTHING = notebook(
    text("# Größe ≤ 5: 中文报告 😀\n\nEnergy $E \\le \\frac{m v^2}{2}$ and\n\n$$\\int_0^1 x^2\\,dx = \\frac13$$"),
    text("\\begin{align}a &= b\\\\ c &= d\\end{align}"),
    code(
        "x = 'ä中😀'",
        {"output_type": "stream", "name": "stdout", "text": "\x1b[31mred\x1b[0m 中文 😀 ≤\n"},
        result(text_html=table(25, 60), text_plain="a table"),
        result(image_png=png(1200, 300), text_plain="<Figure>"),
        {**result(text_latex="$\\displaystyle \\sqrt{2}$", text_plain="sqrt(2)")},
    ),
)


def inside(pdf: bytes) -> bytes:
    """The content of a PDF's streams, decompressed."""
    found = [pdf]
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            found.append(zlib.decompress(packed))
        except zlib.error:
            continue
    return b"\n".join(found)
