"""Blackboard: Grade Center, Work Offline, Download. The file is UTF-16 with tabs, whatever its extension says."""

from runner.classlist.formats.system import System

SYSTEM = System(
    name="Blackboard",
    marks=(("Username", "Student ID", "Last Access"), ("Username", "Student ID", "Availability")),
    nobody=lambda row: row("login").endswith("_previewuser"),
    sample=(
        '"Last Name"\t"First Name"\t"Username"\t"Student ID"\t"Last Access"\t"Availability"\t'
        '"Lab 1 [Total Pts: 10] |1"\n'
        '"Müller"\t"Zoë"\t"zoe.müller"\t"20067930"\t"2026-10-01 09:00:00"\t"Yes"\t"9"\n'
        '"O\'Smith"\t"Jo"\t"jo_smith"\t"20067931"\t""\t"Yes"\t""\n'
        '"Gone"\t"Al"\t"al"\t"20067932"\t""\t"No"\t""\n'
        '"Preview"\t"User"\t"prof_previewuser"\t"20067933"\t""\t"Yes"\t""\n'
    ),
)
