"""Canvas: Grades, Export. It puts rows of points above the people and a fictitious "Test Student" below them."""

from runner.classlist.formats.system import System

SYSTEM = System(
    name="Canvas",
    marks=(("Student", "SIS Login ID"), ("Student", "Section")),
    columns={"login": ("SIS Login ID",), "number": ("SIS User ID",)},
    nobody=lambda row: (
        row("name").casefold() in ("points possible", "student, test", "test student") or not row("name").strip()
    ),
    # Canvas' own ID is not the college's number. An assistant's export has only this ID; if it were used, each student
    # would be a different person than in the professor's export.
    drop=lambda header: () if "sisuserid" in header else ("number",),
    sample="""\
Student,ID,SIS User ID,SIS Login ID,Section,Lab 1 (81223),Final Score
    Points Possible,,,,,10.00,(read only)
,,,,,Manual Posting,
"Müller, Zoë",4711,20067930,zoe.müller,ENGR 114-01,9.00,90
"O'Smith, Jo",4712,20067931,jo_smith,ENGR 114-01 and ENGR 114-02,,0
"Student, Test",4713,,0f3a9c1d,ENGR 114-01,,0
""",
)
