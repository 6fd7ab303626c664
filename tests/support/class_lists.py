"""Class lists as the systems export them; all people are fictitious."""

from __future__ import annotations

import io

import openpyxl

from runner.classlist.formats import known

SAMPLES = {system.name: system.sample for system in known()}
BRIGHTSPACE, CANVAS, MOODLE, BLACKBOARD = (SAMPLES[name] for name in ("Brightspace", "Canvas", "Moodle", "Blackboard"))


def spreadsheet(rows: list[list[object]], *, empty_first: bool = False) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    if empty_first:
        sheet = book.create_sheet("Class")
    for row in rows:
        sheet.append(row)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()
