"""File > Save and Export Notebook As: the entries that work, and no other."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_server.nbconvert import handlers

#: Programs that a format needs; a course may have them by ``apt``.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "ASCIIDocExporter": ("pandoc",),
    "LatexExporter": ("pandoc",),
    "RSTExporter": ("pandoc",),
    "PDFExporter": ("pandoc", "xelatex"),
}
#: They start a browser, whose own walls cannot stand inside a student's.
NEVER = ("QtPDFExporter", "QtPNGExporter", "WebPDFExporter")
#: Seconds that a PDF may take.
LONGEST = 300


class NoPdfError(Exception):
    """A notebook did not become a PDF; the message is for the student."""


def offer(config: Any, root: Path) -> None:
    """Switch off in Jupyter's configuration what would end in an error.

    Each by its own name: a setting of a class counts for the classes made from it too, as PDF is made from LaTeX. PDF
    is made by class_export, a program of its own below ``root``, where the course has it.
    """
    for name in NEVER:
        config[name].enabled = False
    for name, programs in NEEDS.items():
        config[name].enabled = all(shutil.which(program) for program in programs)
    python = root / "pdf/current/bin/python"
    if python.exists():
        config.PDFExporter.enabled = True
        _make_pdfs(python, root / "lib/class_export/make_pdf.py")


def _make_pdfs(python: Path, program: Path) -> None:
    """Have the server's exporter for PDF run ``program``; nbconvert's own wants TeX."""
    find = handlers.get_exporter

    def get_exporter(format: str, **named: Any) -> Any:
        exporter = find(format, **named)
        if format == "pdf":
            # Here and not in the class: nbconvert is imported when somebody first exports, not at each start.
            exporter.from_notebook_node = lambda nb, resources: (pdf(python, program, nb, resources), resources)
        return exporter

    handlers.get_exporter = get_exporter


def pdf(python: Path, program: Path, notebook: Any, resources: dict[str, Any]) -> bytes:
    """Return the notebook as a PDF, and set what the server wants to know of it. Raises NoPdfError."""
    about = resources.get("metadata", {})
    argv = [str(python), "-I", str(program), str(about.get("path") or "."), str(about.get("name") or "notebook")]
    try:
        done = subprocess.run(
            argv, input=json.dumps(notebook).encode(), capture_output=True, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoPdfError(f"no PDF was made: it takes more than {LONGEST} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        # What Python itself did not tell, it could not: memory ended.
        known = said.startswith("no PDF was made: ")
        raise NoPdfError(said if known else "no PDF was made: the notebook is too big for the memory limit")
    resources["output_extension"] = ".pdf"
    return done.stdout
