"""Reads class lists that learning management systems export, and turns them into uniform entries.

It reads Brightspace (D2L), Canvas, Moodle, Blackboard, and any table with a header row: CSV with any usual delimiter in
UTF-8, UTF-16 or Windows-1252, and XLSX. The columns show which system wrote the file, so nobody is asked.
"""

from runner.classlist.entry import ClassFile, Entry
from runner.classlist.rows import exported_by, parse, read
from runner.classlist.tables import MAX_BYTES
from runner.classlist.text import clean, decode

__all__ = ["MAX_BYTES", "ClassFile", "Entry", "clean", "decode", "exported_by", "parse", "read"]
