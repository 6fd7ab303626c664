"""Reads a file's bytes as the rows of a table: CSV with any usual delimiter, or XLSX."""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator

from runner.classlist.columns import HEAD_ROWS, WANTED, columns_of, normal, tells_people_apart
from runner.classlist.entry import refused
from runner.classlist.text import clean, decode

#: Limits for one course's list in bytes and lines. They are generous; a larger file is another kind of file.
MAX_BYTES = 20 * 1024**2
MAX_LINES = 10_000
_DELIMITERS = (",", ";", "\t", "|")
#: What openpyxl raises for a damaged spreadsheet.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, SyntaxError, EOFError, OSError),
    *(LookupError, ValueError, TypeError, AttributeError, NotImplementedError),
)


def rows(
    content: bytes, shown: str, encoding: str | None = None, notes: list[str] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its first line.

    Raises the same errors as ``read``, and csv.Error if it is not a table.
    """
    if content.startswith(b"PK\x03\x04"):
        yield from _spreadsheet(content, shown)
        return
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise refused(shown, "is an Excel file of before 2007", "open it and save it as .xlsx or CSV")
    if content.startswith(b"%PDF"):
        raise refused(shown, "is a PDF", "export the list as CSV or Excel")
    text = decode(content, shown, encoding, notes)
    if re.match(r"\s*<(!doctype|html|table|\?xml)", text, re.IGNORECASE):
        raise refused(
            shown, "is a web page with another ending", "open it in a spreadsheet and save it as .xlsx or CSV"
        )
    text = re.sub(r"\Asep=.\r?\n", "\n", text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    first = reader.line_num + 1
    for row in reader:
        yield first, [clean(cell) for cell in row]
        first = reader.line_num + 1


def _delimiter(text: str) -> str:
    """The delimiter that yields the most known column names in one of the first lines."""
    head = text.splitlines()[:HEAD_ROWS]

    def known(delimiter: str) -> int:
        return max((len(columns_of(normal(row))) for row in csv.reader(head, delimiter=delimiter)), default=0)

    return max(_DELIMITERS, key=known)


def _spreadsheet(content: bytes, shown: str) -> list[tuple[int, list[str]]]:
    # Imported here because every verb imports this module and only this function needs it: it takes 0.2 s.
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # A few kilobytes can expand to gigabytes.
            if sum(part.file_size for part in archive.infolist()) > 10 * MAX_BYTES:
                raise refused(shown, "unpacks to more than any class list", "save it as CSV")
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        # Damage shows only when a sheet is read: a truncated sheet raises a SyntaxError of its XML.
        for sheet in book.worksheets:
            rows = [
                (number, [clean(_cell(value)) for value in row])
                for number, row in enumerate(sheet.iter_rows(values_only=True, max_row=MAX_LINES + HEAD_ROWS), 1)
            ]
            if any(tells_people_apart(columns_of(normal(row))) for _, row in rows[:HEAD_ROWS]):
                return rows
    except (*_DAMAGED, InvalidFileException) as error:
        raise refused(shown, "is no Excel file, or a damaged one", "save it as CSV and give that") from error
    raise refused(shown, f"has no sheet with column names such as {WANTED}", "export the list again")


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        # Excel stores every number, also a student's, as a float.
        return str(int(value))
    return "" if value is None else str(value)
