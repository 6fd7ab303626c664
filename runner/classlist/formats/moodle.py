"""Moodle: Participants or Grades, Export. Its column names are in the language of the exporting teacher."""

from runner.classlist.formats.system import System

SYSTEM = System(
    name="Moodle",
    marks=(
        ("First name", "Surname", "Email address"),
        ("First name", "Last name", "Email address"),
        ("Prénom", "Nom de famille", "Adresse de courriel"),
        ("Vorname", "Nachname", "E-Mail-Adresse"),
        ("Nombre", "Apellido(s)", "Dirección de correo"),
        ("Nome", "Sobrenome", "Endereço de email"),
    ),
    sample="""\
First name,Surname,ID number,Email address,Roles,Groups,Last access to course,Status
Zoë,Müller,20067930,Zoe.Mueller@x.edu,Student,"Team 1, Team 2",now,Active
Jo,O'Smith,20067931,jo_smith@x.edu,Non-editing teacher,No groups,never,Active
Ex,Student,20067932,ex@x.edu,Student,,never,Suspended
""",
)
