"""File > Save and Export Notebook As: only the entries that work."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_server.nbconvert import handlers

#: Programs that a format needs; a course may install them by ``apt``.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "ASCIIDocExporter": ("pandoc",),
    "LatexExporter": ("pandoc",),
    "RSTExporter": ("pandoc",),
    "PDFExporter": ("pandoc", "xelatex"),
}
#: These start a browser, whose sandbox cannot work inside a student's unit.
NEVER = ("QtPDFExporter", "QtPNGExporter", "WebPDFExporter")
#: Seconds that a PDF may take.
LONGEST = 300


class NoPdfError(Exception):
    """A notebook did not become a PDF; the message is for the student."""


def offer(config: Any, root: Path) -> None:
    """Disable exports in Jupyter's configuration that would fail.

    Each class is named: a setting of a class also applies to its subclasses, and PDF is a subclass of LaTeX.
    class_export, a separate program below ``root``, makes PDFs, if the course has it.
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
    """Make the server's exporter for PDF run ``program``; nbconvert's own needs TeX."""
    find = handlers.get_exporter

    def get_exporter(format: str, **named: Any) -> Any:
        exporter = find(format, **named)
        if format == "pdf":
            # Here and not in the class: nbconvert is imported at the first export, not at each start.
            exporter.from_notebook_node = lambda nb, resources: (pdf(python, program, nb, resources), resources)
        return exporter

    handlers.get_exporter = get_exporter


def pdf(python: Path, program: Path, notebook: Any, resources: dict[str, Any]) -> bytes:
    """Return the notebook as a PDF, and set what the server needs in ``resources``. Raises NoPdfError."""
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
        # Without our own message, the program ran out of memory.
        known = said.startswith("no PDF was made: ")
        raise NoPdfError(said if known else "no PDF was made: the notebook is too big for the memory limit")
    resources["output_extension"] = ".pdf"
    return done.stdout
