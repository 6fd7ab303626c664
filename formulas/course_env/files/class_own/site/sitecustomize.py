"""Every Python that a student's kernel or terminal starts imports this module.

In the course's Python it adds the student's packages after all others, and makes pip install where a student may.
"""

import os
import sys
from pathlib import Path


def _pips_arguments(argv: list[str]) -> list[str] | None:
    """Return the arguments of ``-m pip`` or of the course's program pip; None for any other program."""
    rest = argv[1:]
    while rest and rest[0].startswith("-") and rest[0] not in {"-m", "-c"}:
        rest = rest[1:]
    if rest[:2] == ["-m", "pip"]:
        return rest[2:]
    program = Path(rest[0]) if rest else Path()
    if program.name.startswith("pip") and program.parent == Path(sys.prefix) / "bin":
        return rest[1:]
    return None


def _begin() -> None:
    course, own = os.environ.get("COURSEHUB_ENV"), os.environ.get("COURSEHUB_OWN")
    if not course or not own or os.path.realpath(sys.prefix) != course:
        return
    arguments = _pips_arguments(sys.orig_argv)
    if arguments is not None:
        pip = Path(__file__).parent.parent / "pip.py"
        os.execv(sys.executable, [sys.executable, "-I", str(pip), *arguments])  # noqa: S606
    if own not in sys.path:
        sys.path.append(own)


_begin()
