"""Brightspace (D2L): Grades, Export. It puts "#" before numbers and logins so spreadsheets do not change them."""

from runner.classlist.formats.system import System

SYSTEM = System(
    name="Brightspace",
    marks=(("OrgDefinedId",), ("End-of-Line Indicator",)),
    columns={"number": ("OrgDefinedId",)},
    sample="""\
OrgDefinedId,Username,Last Name,First Name,Email,Lab 1 Points Grade <Numeric MaxPoints:10>,End-of-Line Indicator
#20067930,#zoe.müller,Müller,Zoë,Zoe.Mueller@x.edu,9,#
#20067931,#jo_smith,O'Smith,Jo,jo_smith@x.edu,,#
""",
)
