"""File > Save and Export Notebook As: the entries that work, and no other."""

import shutil
from collections.abc import Mapping
from typing import Any

#: Programs that a format needs; a course may have them by ``apt``.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "ASCIIDocExporter": ("pandoc",),
    "LatexExporter": ("pandoc",),
    "RSTExporter": ("pandoc",),
    "PDFExporter": ("pandoc", "xelatex"),
}
#: They start a browser, whose own walls cannot stand inside a student's.
NEVER = ("QtPDFExporter", "QtPNGExporter", "WebPDFExporter")


def offer(config: Any) -> None:
    """Switch off in Jupyter's configuration what would end in an error.

    Each by its own name: a setting of a class counts for the classes made from it too, as PDF is made from LaTeX.
    """
    for name in NEVER:
        config[name].enabled = False
    for name, programs in NEEDS.items():
        config[name].enabled = all(shutil.which(program) for program in programs)
