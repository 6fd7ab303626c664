"""Read a notebook from standard input and write it as a PDF to standard output.

It runs as the student who owns the notebook: ``make_pdf.py FOLDER TITLE``. If it fails, it prints one line and exits
with 1.
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
#: The forms of a result that can be shown, the best first.
BEST = ("image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/latex", "text/html", "text/plain")
#: Colours and cursor movements of a terminal.
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: Characters that no document may have.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
#: Characters without a space: more than half of a line.
_UNBROKEN = re.compile(r"\S{60}")
#: Most characters of one output: ten pages. A longer one is cut in the middle.
LONGEST = 60_000
SECONDS = 120
#: If Typst cannot read a formula, or a picture is broken, a PDF without formulas or pictures is better than none.
_PLAIN = {"COURSEHUB_PLAIN_FORMULAS": "1"}
LESS_AND_LESS: tuple[Mapping[str, str], ...] = ({}, _PLAIN, _PLAIN | {"COURSEHUB_NO_PICTURES": "1"})


class NotMadeError(Exception):
    """There is no PDF; the message is for the student."""


def main(folder: str, title: str) -> int:
    """Convert; return the exit code."""
    # With more than this, the memory limit could end a kernel of the student, or the whole server.
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
            # Typst reads nothing outside its root.
            return bytes(typst.compile(str(source), root=scratch, sys_inputs={"title": _clean(title)}))
        except typst.TypstError as problem:
            raise NotMadeError(str(problem).partition("\n")[0]) from None


def markup(notebook: dict[str, Any], folder: str, scratch: str, choices: Mapping[str, str]) -> str:
    """Return the notebook in Typst's language, and put its pictures into ``scratch``. Raises NotMadeError."""
    argv = [pypandoc.get_pandoc_path(), "--from=ipynb+raw_tex+tex_math_dollars", "--to=typst", "--sandbox"]
    # "all", because ``shown`` has already chosen the best form.
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
    """Return the notebook with one form of each result, without what cannot be printed. Raises ValueError."""
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
    """Return whether a result can be printed. HTML of an interactive plot and invalid pictures cannot."""
    if kind in {"image/png", "image/jpeg"}:
        try:
            return base64.b64decode(_joined(data[kind])).startswith((b"\x89PNG", b"\xff\xd8"))
        except ValueError:
            return False
    return kind != "text/html" or "<table" in _joined(data[kind])


def _clean(text: Any) -> str:
    return _CONTROL.sub("", _ANSI.sub("", _joined(text)))


def _printed(text: Any) -> str:
    """Return what a program printed, without the middle if it is too long, as after an endless loop."""
    said = _clean(text)
    if len(said) > LONGEST:
        said = f"{said[: LONGEST // 2]}\n[... left out ...]\n{said[-LONGEST // 2 :]}"
    return _breakable(said)


def _breakable(said: str) -> str:
    """Allow line breaks in a line without spaces."""
    return _UNBROKEN.sub(lambda word: f"{word[0]}\u200b", said)


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
