"""coursehub-cert as it lies in the formula, for tests of its decisions."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

FILES = Path(__file__).resolve().parents[2] / "formulas" / "letsencrypt" / "files"


def package() -> SimpleNamespace:
    """All modules of the package by name."""
    names = sorted(path.stem for path in (FILES / "coursehub_cert").glob("*.py") if path.stem != "__init__")
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    sys.path.insert(0, str(FILES))
    try:
        return SimpleNamespace(**{name: importlib.import_module(f"coursehub_cert.{name}") for name in names})
    finally:
        sys.path.remove(str(FILES))
        sys.dont_write_bytecode = before
