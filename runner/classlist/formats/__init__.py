"""The known systems, one module for each. A new system needs only its module here."""

from runner.classlist.formats.system import Row, System, known, of_header, own_kinds, own_names

__all__ = ["Row", "System", "known", "of_header", "own_kinds", "own_names"]
