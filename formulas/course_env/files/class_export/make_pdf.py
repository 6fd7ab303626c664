"""Reads a notebook on standard input and writes it as a PDF to standard output.

Run as a program, as the student whose notebook it is: ``make_pdf.py FOLDER TITLE``. Ends with 1 and one line when it
cannot.
"""

import base64
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pypandoc
import typst

HERE = Path(__file__).resolve().parent
#: What of a result is shown, the best first.
BEST = ("image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/latex", "text/html", "text/plain")
#: Colours and cursor movements of a terminal.
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: Characters that no document may have.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
#: Letters without a space between them: more than half of a line.
_UNBROKEN = re.compile(r"\S{60}")
#: Characters of one output: ten pages. What is longer is cut in the middle.
LONGEST = 60_000
SECONDS = 120
#: One formula that Typst does not take, or one broken picture: without any of them is better than no PDF.
_PLAIN = {"COURSEHUB_PLAIN_FORMULAS": "1"}
LESS_AND_LESS: tuple[Mapping[str, str], ...] = ({}, _PLAIN, _PLAIN | {"COURSEHUB_NO_PICTURES": "1"})


class NotMadeError(Exception):
    """There is no PDF; the message is for the student."""


def main(folder: str, title: str) -> int:
    """Convert; return the exit code."""
    # More than this, and the memory limit would end a kernel of the student's, or all of the server.
    if limit := int(os.environ.get("MEM_LIMIT") or 0) * 2 // 3:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        notebook = shown(json.load(sys.stdin))
        made = b""
        for choices in LESS_AND_LESS:
            try:
                made = pdf(notebook, folder, title, choices)
                break
            except NotMadeError:
                if choices == LESS_AND_LESS[-1]:
                    raise
    except (NotMadeError, ValueError) as problem:
        print(f"no PDF was made: {problem}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(made)
    return 0


def pdf(notebook: dict[str, Any], folder: str, title: str, choices: Mapping[str, str]) -> bytes:
    """Return the PDF. Raises NotMadeError."""
    with tempfile.TemporaryDirectory() as scratch:
        body = markup(notebook, folder, scratch, choices)
        source = Path(scratch) / "notebook.typ"
        source.write_text((HERE / "page.typ").read_text(encoding="utf-8") + body, encoding="utf-8")
        try:
            # Its root: nothing outside of it is read.
            return bytes(typst.compile(str(source), root=scratch, sys_inputs={"title": _clean(title)}))
        except typst.TypstError as problem:
            raise NotMadeError(str(problem).partition("\n")[0]) from None


def markup(notebook: dict[str, Any], folder: str, scratch: str, choices: Mapping[str, str]) -> str:
    """Return the notebook in Typst's language; its pictures are then in ``scratch``. Raises NotMadeError."""
    argv = [pypandoc.get_pandoc_path(), "--from=ipynb+raw_tex+tex_math_dollars", "--to=typst", "--sandbox"]
    # All results: the best was chosen here.
    argv += ["--ipynb-output=all", f"--lua-filter={HERE / 'notebook.lua'}", "--extract-media=.", "--wrap=preserve"]
    try:
        done = subprocess.run(
            argv,
            input=json.dumps(notebook).encode(),
            capture_output=True,
            cwd=scratch,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "COURSEHUB_FOLDER": folder, **choices},
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotMadeError(f"it takes more than {SECONDS} s; is there a very long output?") from None
    if done.returncode:
        raise NotMadeError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or "pandoc ended")
    return done.stdout.decode(errors="replace")


def shown(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with one form of each result, without what no page can show. Raises ValueError."""
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError("that is no notebook")
    for cell in notebook["cells"]:
        source = _clean(cell.get("source", ""))
        cell["source"] = _breakable(source) if cell.get("cell_type") == "code" else source
        for output in cell.get("outputs", []):
            data = output.get("data")
            if isinstance(data, dict):
                best = next((kind for kind in BEST if kind in data and _says_something(kind, data)), None)
                shorten = _printed if best == "text/plain" else _clean
                output["data"] = {best: shorten(data[best])} if best else {"text/plain": "[not for paper]"}
            elif output.get("output_type") == "stream":
                output["text"] = _printed(output.get("text", ""))
            elif output.get("output_type") == "error":
                output["traceback"] = [_clean(line) for line in output.get("traceback", [])]
    return notebook


def _says_something(kind: str, data: Mapping[str, Any]) -> bool:
    """HTML that is a program, as of an interactive plot, says nothing on paper; nor does a picture that is none."""
    if kind in {"image/png", "image/jpeg"}:
        try:
            return base64.b64decode(_joined(data[kind])).startswith((b"\x89PNG", b"\xff\xd8"))
        except ValueError:
            return False
    return kind != "text/html" or "<table" in _joined(data[kind])


def _clean(text: Any) -> str:
    return _CONTROL.sub("", _ANSI.sub("", _joined(text)))


def _printed(text: Any) -> str:
    """What a program printed, without the middle of a loop that printed without end."""
    said = _clean(text)
    if len(said) > LONGEST:
        said = f"{said[: LONGEST // 2]}\n[... left out ...]\n{said[-LONGEST // 2 :]}"
    return _breakable(said)


def _breakable(said: str) -> str:
    """Let a line without a space go on in the next one."""
    return _UNBROKEN.sub(lambda word: f"{word[0]}\u200b", said)


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
