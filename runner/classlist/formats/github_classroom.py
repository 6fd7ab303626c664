"""GitHub Classroom: Students, Download. Only this system knows logins at GitHub."""

from runner.classlist.formats.system import System

SYSTEM = System(
    name="GitHub Classroom",
    marks=(("identifier", "github_username", "github_id"),),
    columns={"github": ("github_username", "GitHub login", "GitHub")},
    sample="""\
"identifier","github_username","github_id","name","email"
"zm","zoe-m","7","Zoë Müller","Zoe.Mueller@x.edu"
"jo","","","Jo O'Smith","jo_smith@x.edu"
""",
)
