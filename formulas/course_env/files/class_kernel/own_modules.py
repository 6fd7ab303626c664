"""A kernel finds a student's own modules in the notebook's folder, after Python's and the course's modules.

A file there cannot hide a module of Python or the course that has the same name, so it cannot prevent the start of a
kernel. A student who imports such a name gets a note which of the two was imported.
"""

import ast
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def find_own_modules_last() -> None:
    """Put the working directory at the end of the search path for modules."""
    if "" not in sys.path:
        sys.path.append("")


class Namesakes:
    """Says, once per kernel and name, that a file of the notebook's folder was not imported."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()

    def look(self, code: str) -> None:
        """Check the imports of a cell that is about to run."""
        for name in sorted(imported(code) - self._said):
            own = own_module(name)
            if own and taken_from_elsewhere(name):
                self._said.add(name)
                kind = "Python's own module" if name in sys.stdlib_module_names else "the course's package"
                self._say(
                    f"Note: {own} in this folder has the name of {kind} {name}, and 'import {name}' imports that one. "
                    f"To import your file, rename it."
                )


def imported(code: str) -> set[str]:
    """Return the first parts of the names that Python code imports; nothing if it is not valid Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found


def own_module(name: str) -> str:
    """Return the file or folder in the working directory with a module's name; empty if there is none."""
    for file in (f"{name}.py", f"{name}/__init__.py"):
        if Path(file).is_file():
            return file.removesuffix("/__init__.py")
    return ""


def taken_from_elsewhere(name: str) -> bool:
    """Return whether an import of the name loads a module that is not in the working directory."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    if found is None:
        return False
    places = [found.origin] if found.has_location else list(found.submodule_search_locations or ())
    own = {Path(f"{name}.py").absolute(), Path(name, "__init__.py").absolute(), Path(name).absolute()}
    return not any(place and Path(place).absolute() in own for place in places)


def load_ipython_extension(shell: Any) -> None:
    """Set this up in a kernel's shell."""
    namesakes = Namesakes(lambda line: print(line, file=sys.stderr))

    def before(info: Any) -> None:
        try:
            namesakes.look(shell.transform_cell(info.raw_cell or ""))
        except Exception:
            # An error here must never prevent the cell.
            return

    shell.events.register("pre_run_cell", before)
