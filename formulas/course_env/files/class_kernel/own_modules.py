"""Where a kernel finds a student's own modules: in the notebook's folder, behind Python's and the course's.

A file there that has the name of one of those can hide none of them, so it cannot keep a kernel from starting. Who
imports such a name is told which of the two it is.
"""

import ast
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def find_own_modules_last() -> None:
    """Have modules of the working directory found after all others."""
    if "" not in sys.path:
        sys.path.append("")


class Namesakes:
    """Says once in a kernel, for each name, that a file of the notebook's folder is not what was imported."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()

    def look(self, code: str) -> None:
        """Look through the imports of a cell that is about to run."""
        for name in sorted(imported(code) - self._said):
            own = own_module(name)
            if own and taken_from_elsewhere(name):
                self._said.add(name)
                kind = "Python's own module" if name in sys.stdlib_module_names else "the course's package"
                self._say(
                    f"Note: {own} in this folder has the name of {kind} {name}, and that is what 'import {name}' "
                    f"takes. To import your file, rename it."
                )


def imported(code: str) -> set[str]:
    """Return the first parts of the names that Python code imports; nothing for what is no Python."""
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
    """Return what in the working directory has a module's name; empty without one."""
    for file in (f"{name}.py", f"{name}/__init__.py"):
        if Path(file).is_file():
            return file.removesuffix("/__init__.py")
    return ""


def taken_from_elsewhere(name: str) -> bool:
    """Whether an import of the name takes a module that is not in the working directory."""
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
    """Join it to a kernel's shell."""
    namesakes = Namesakes(lambda line: print(line, file=sys.stderr))

    def before(info: Any) -> None:
        try:
            namesakes.look(shell.transform_cell(info.raw_cell or ""))
        except Exception:
            # A note must never cost a cell.
            return

    shell.events.register("pre_run_cell", before)
