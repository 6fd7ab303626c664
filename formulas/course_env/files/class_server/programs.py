"""What kernels and terminals start with, and this server did not: the course's Python and the student's own packages.

Set while the server starts, in its own environment, which all that it starts inherits. It has imported what it needs by
then, and had neither a path nor a variable of the student's when it did.
"""

import os
from pathlib import Path

from class_own.place import Place


def prepare(library: str) -> None:
    """Let programs find the student's own packages, after all others; ``library`` has class_own."""
    place = Place.here()
    os.environ["COURSEHUB_ENV"] = str(place.environment)
    os.environ["COURSEHUB_OWN"] = str(place.packages)
    os.environ["COURSEHUB_OWN_BIN"] = str(place.python.parent)
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), os.environ["COURSEHUB_OWN_BIN"]])
    # Its one module is site/sitecustomize.py.
    os.environ["PYTHONPATH"] = str(Path(library) / "class_own" / "site")
