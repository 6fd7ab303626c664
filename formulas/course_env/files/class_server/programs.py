"""The environment of kernels and terminals: the course's Python and the student's own packages.

It is set while the server starts, in the server's own environment, which kernels and terminals inherit. By then the
server has imported what it needs, without any path or variable of the student.
"""

import os
from pathlib import Path

from class_own.place import Place


def prepare(library: str) -> None:
    """Make programs find the student's own packages, after all others; ``library`` contains class_own."""
    place = Place.here()
    os.environ["COURSEHUB_ENV"] = str(place.environment)
    os.environ["COURSEHUB_OWN"] = str(place.packages)
    os.environ["COURSEHUB_OWN_BIN"] = str(place.python.parent)
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), os.environ["COURSEHUB_OWN_BIN"]])
    # Its only module is sitecustomize.py.
    os.environ["PYTHONPATH"] = str(Path(library) / "class_own" / "site")
