"""A notebook as a PDF, in the environment that a server gets for it."""

from __future__ import annotations

import base64
import copy
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import pdfs
from tests.support.environments import python_of

pytestmark = pytest.mark.unit

FILES = Path(__file__).resolve().parents[2] / "formulas/course_env/files"
#: Prints a notebook as Typst markup.
MARKUP = """
import json, sys
sys.path.insert(0, sys.argv[1])
import make_pdf
print(make_pdf.markup(make_pdf.shown(json.load(sys.stdin)), sys.argv[2], sys.argv[3], {}))
"""


@pytest.fixture(scope="module")
def pdf_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    return python_of(FILES / "pdf.txt", tmp_path_factory.mktemp("pdf"))


def made(python: str, notebook: Any, folder: Path, code: int = 0, title: str = "lab 1") -> bytes:
    """The program's output: a PDF, or its message if it exits with ``code``."""
    done = subprocess.run(
        [python, "-I", str(FILES / "class_export/make_pdf.py"), str(folder), title],
        input=json.dumps(notebook).encode(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr.decode()
    return done.stderr if code else done.stdout


def markup(python: str, notebook: Any, folder: Path) -> str:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return subprocess.run(
        [python, "-I", "-c", MARKUP, str(FILES / "class_export"), str(folder), str(scratch)],
        input=json.dumps(notebook),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def test_pdf_of_everything(pdf_python: str, tmp_path: Path) -> None:
    made_pdf = made(pdf_python, pdfs.EVERYTHING, tmp_path)
    assert made_pdf.startswith(b"%PDF-")
    assert b"NewCMMath" in pdfs.inside(made_pdf)


def test_pdf_has_text_formulas_and_tables(pdf_python: str, tmp_path: Path) -> None:
    said = markup(pdf_python, pdfs.EVERYTHING, tmp_path)
    letters = ("Größe ≤ 5", "中文报告 😀", "red 中文 😀 ≤")
    for part in (*letters, "lt.eq", "integral", "a & = b", "columns: 26", "set text(size: ", "image("):
        assert part in said, part
    assert "\x1b" not in said
    assert "a table" not in said


@pytest.mark.parametrize(
    "cell",
    [
        pdfs.text("![](https://example.org/x.png) ![](nowhere.png) ![](/etc/passwd)"),
        pdfs.text('```{=typst}\n#read("/etc/passwd")\n#import "@preview/x:1.0.0"\n```'),
        pdfs.text("$\\undefined{x}$ and $$\\begin{nothing}x\\end{nothing}$$"),
        pdfs.text('#read("/etc/passwd") #panic() $ \\ @x <y> *_`'),
        pdfs.code("1", pdfs.result(text_html="<script>alert(1)</script>", text_plain="1")),
        pdfs.code("1", pdfs.result(image_png="not base64")),
        pdfs.code("print('x' * 10**7)", {"output_type": "stream", "name": "stdout", "text": "x" * 10**7}),
        pdfs.code("\x00\x07" + "long" * 500),
    ],
    ids=["pictures", "typst", "formulas", "signs", "script", "broken-picture", "endless", "control"],
)
def test_pdf_is_made_despite_unprintable_content(pdf_python: str, tmp_path: Path, cell: Any) -> None:
    """It contains nothing of the server."""
    notebook = pdfs.notebook(pdfs.text("before"), copy.deepcopy(cell), pdfs.text("after"))
    assert made(pdf_python, notebook, tmp_path).startswith(b"%PDF-")
    said = markup(pdf_python, notebook, tmp_path)
    assert "root:x" not in said


def test_pdf_has_pictures_that_lie_beside_it(pdf_python: str, tmp_path: Path) -> None:
    (tmp_path / "my plot.png").write_bytes(base64.b64decode(pdfs.png(40, 10)))
    said = markup(pdf_python, pdfs.notebook(pdfs.text("![](my%20plot.png)")), tmp_path)
    assert "image(" in said


@pytest.mark.parametrize("title", ['a"b]#read("x")', "Prüfung 1", "../x", "名前"])
def test_pdf_takes_any_title(pdf_python: str, tmp_path: Path, title: str) -> None:
    assert made(pdf_python, pdfs.notebook(pdfs.text("x")), tmp_path, title=title).startswith(b"%PDF-")


def test_pdf_that_wants_too_much_memory_is_refused(pdf_python: str, tmp_path: Path) -> None:
    """Otherwise the kernel or the server would be killed."""
    done = subprocess.run(
        [pdf_python, "-I", str(FILES / "class_export/make_pdf.py"), str(tmp_path), "lab"],
        input=json.dumps(pdfs.notebook(*(pdfs.EVERYTHING["cells"] * 20))).encode(),
        env={**os.environ, "MEM_LIMIT": str(256 << 20)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == b""


@pytest.mark.parametrize("notebook", [[], {}, {"cells": 1}])
def test_pdf_of_no_notebook_is_one_line(pdf_python: str, tmp_path: Path, notebook: Any) -> None:
    said = made(pdf_python, notebook, tmp_path, code=1).decode()
    assert said == f"no PDF was made: that is no notebook{os.linesep}"
