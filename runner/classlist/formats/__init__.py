"""The systems whose exports are known, a file each: a new one needs its file here and nothing else."""

from runner.classlist.formats.system import Row, System, known, of_header, own_kinds, own_names

__all__ = ["Row", "System", "known", "of_header", "own_kinds", "own_names"]
