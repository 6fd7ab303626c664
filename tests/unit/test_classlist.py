"""Class lists as the systems export them, with their own column names, encodings and peculiarities; all people are
fictitious.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import classlist
from runner.classlist import Entry
from runner.errors import CoursehubError
from tests.support.chance import chance
from tests.support.class_lists import BLACKBOARD, BRIGHTSPACE, CANVAS, MOODLE, SAMPLES, spreadsheet

pytestmark = pytest.mark.unit

PLAIN = "name;e-mail;team\nZoë Müller;Zoe.Mueller@x.edu;A\n\nJo O'Smith;jo_smith@x.edu;\n"


def lines(text: str) -> str:
    return text.replace("\n", "\r\n")


def read(tmp_path: Path, content: bytes, name: str = "list.csv") -> classlist.ClassFile:
    (tmp_path / name).write_bytes(content)
    return classlist.read(tmp_path / name)


@pytest.mark.parametrize("name", SAMPLES)
def test_each_formats_own_sample(tmp_path: Path, name: str) -> None:
    """A new format needs only its module, with a sample of these two people."""
    found = read(tmp_path, SAMPLES[name].encode())
    assert (found.system, found.doubts) == (name, [])
    assert [entry.name for entry in found.entries] == ["Zoë Müller", "Jo O'Smith"]
    assert {(entry.email or "").lower() for entry in found.entries} <= {"zoe.mueller@x.edu", "jo_smith@x.edu", ""}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize(
    ("system", "text", "knows"),
    [
        ("Brightspace", BRIGHTSPACE, ("number", "email", "login")),
        ("Canvas", CANVAS, ("number", "login")),
        ("Moodle", MOODLE, ("number", "email")),
        ("Blackboard", BLACKBOARD, ("number", "login")),
        ("the table", PLAIN, ("email",)),
    ],
)
def test_each_system_in_each_encoding(
    tmp_path: Path, system: str, text: str, knows: tuple[str, ...], encoding: str
) -> None:
    found = read(tmp_path, lines(text).encode(encoding), "gc_list.xls")
    assert found.system == system
    assert [entry.name for entry in found.entries] == ["Zoë Müller", "Jo O'Smith"]
    expected = {
        "number": ["20067930", "20067931"],
        "email": ["Zoe.Mueller@x.edu", "jo_smith@x.edu"],
        "login": ["zoe.müller", "jo_smith"],
    }
    for kind, values in expected.items():
        found_values = [getattr(entry, kind) for entry in found.entries]
        assert found_values == (values if kind in knows else [None, None])


#: Complete header rows as the systems write them, each with one person and the facts in its columns.
EXPORTS = {
    "Brightspace, grades": (
        *("Brightspace", "OrgDefinedId,Username,Last Name,First Name,Email,Calculated Final Grade Numerator,"),
        *("Calculated Final Grade Denominator,End-of-Line Indicator", "#20067930,#zoe.m,Müller,Zoë,z@x.edu,9,10,#"),
        *("20067930", "zoe.m", "z@x.edu"),
    ),
    "Brightspace, user name as key": (
        *("Brightspace", "Username,Last Name,First Name,Email,", "End-of-Line Indicator"),
        *("#zoe.m,Müller,Zoë,z@x.edu,#", None, "zoe.m", "z@x.edu"),
    ),
    "Canvas, gradebook": (
        *("Canvas", "Student,ID,SIS User ID,SIS Login ID,Section,Lab 1 (81223),", "Current Score,Final Score"),
        *('"Müller, Zoë",4711,20067930,zoe.m,ENGR 114-01,9,90,90', "20067930", "zoe.m", None),
    ),
    "Canvas, several institutions": (
        *("Canvas", "Student,ID,SIS User ID,SIS Login ID,Integration ID,Root Account,", "Section,Lab 1 (81223)"),
        *('"Müller, Zoë",4711,20067930,z@x.edu,,x.instructure.com,ENGR 114-01,9', "20067930", None, "z@x.edu"),
    ),
    "Canvas, an assistant's": (
        *("Canvas", "Student,ID,SIS Login ID,Section,", "Lab 1 (81223)"),
        *('"Müller, Zoë",4711,zoe.m,ENGR 114-01,9', None, "zoe.m", None),
    ),
    "Moodle, grades": (
        *("Moodle", "First name,Surname,ID number,Institution,Department,Email address,", "Course total (Real),"),
        *("Last downloaded from this course", "Zoë,Müller,20067930,,,z@x.edu,9,1795000000"),
        *("20067930", None, "z@x.edu"),
    ),
    "Moodle, grades since 4.0": (
        *("Moodle", '"First name","Last name","ID number","Institution","Department",', '"Email address"'),
        *("Zoë,Müller,20067930,,,z@x.edu", "20067930", None, "z@x.edu"),
    ),
    "Moodle, participants": (
        *("Moodle", "First name,Last name,Email address,Roles,Groups,", "Last access to course,Status"),
        *("Zoë,Müller,z@x.edu,Student,,now,Active", None, None, "z@x.edu"),
    ),
    "Blackboard, grade center": (
        *("Blackboard", '"Last Name","First Name","Username","Student ID","Last Access","Availability",'),
        *('"Total [Total Pts: 10 Score] |1"', '"Müller","Zoë","zoe.m","20067930","2026-10-01 09:00:00","Yes","9"'),
        *("20067930", "zoe.m", None),
    ),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "xlsx"])
@pytest.mark.parametrize("name", EXPORTS)
def test_real_column_names_in_each_encoding_and_as_xlsx(tmp_path: Path, name: str, encoding: str) -> None:
    system, *header, row, number, login, email = EXPORTS[name]
    text = f"{''.join(str(part) for part in header)}\r\n{row}\r\n"
    table: list[list[object]] = [[*cells] for cells in csv.reader(io.StringIO(text))]
    found = read(tmp_path, spreadsheet(table) if encoding == "xlsx" else text.encode(encoding))
    assert found.system == system
    assert [note for note in found.notes if "Windows-1252" not in note] == []
    assert len(found.notes) == (encoding == "cp1252")
    (entry,) = found.entries
    assert (entry.name, entry.number, entry.login, entry.email) == ("Zoë Müller", number, login, email)


@pytest.mark.parametrize("name", EXPORTS)
def test_export_is_recognised_by_its_bytes(name: str) -> None:
    system, *header, row, _, _, _ = EXPORTS[name]
    text = f"{''.join(str(part) for part in header)}\r\n{row}\r\n"
    assert classlist.exported_by(text.encode("utf-16")) == system
    assert classlist.exported_by(f"name,price\r\n{row}\r\n".encode()) is None
    assert classlist.exported_by(b"\x89PNG\r\n" + bytes(range(256))) is None


def test_roles_and_groups_of_a_file(tmp_path: Path) -> None:
    zoe, jo = read(tmp_path, MOODLE.encode()).entries
    assert (zoe.role, jo.role) == ("students", "assistants")
    assert zoe.groups == ("team-1", "team-2")
    assert jo.groups == ()
    (first, second) = read(tmp_path, PLAIN.encode()).entries
    assert (first.groups, second.groups) == (("a",), ())
    assert read(tmp_path, CANVAS.encode()).entries[0].groups is None


def test_omitted_people_are_reported_by_line_not_by_name(tmp_path: Path) -> None:
    assert read(tmp_path, MOODLE.encode()).notes == ["line 4 is left out: its state is Suspended"]
    assert read(tmp_path, BLACKBOARD.encode()).notes == ["line 4 is left out: its state is No"]


@pytest.mark.parametrize(
    ("role", "is_"),
    [
        ("Student", "students"),
        ("Student-AC", "students"),
        ("Teaching Assistant", "assistants"),
        ("TA", "assistants"),
        ("Non-editing teacher", "assistants"),
        ("Teacher", "professors"),
        ("Instructor", "professors"),
        ("Guest", "guests"),
        ("Auditor", "guests"),
        ("", None),
    ],
)
def test_roles_as_systems_name_them(tmp_path: Path, role: str, is_: str | None) -> None:
    found = read(tmp_path, f"name,email,role\nA B,a@x.edu,{role}\n".encode())
    assert found.entries[0].role == is_
    assert found.notes == []


def test_unknown_role_is_reported(tmp_path: Path) -> None:
    found = read(tmp_path, b"name,email,role\nA B,a@x.edu,Shareholder\n")
    assert found.entries[0].role is None
    assert found.notes == ["line 2: 'Shareholder' is no role here; a new person becomes a student"]


def test_a_spreadsheet_with_numbers_a_title_and_an_empty_sheet(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        ["Class list of ENGR 114"],
        [],
        ["Surname", "First name", "ID number", "Email address"],
        ["Müller", "Zoë", 20067930, "zoe@x.edu"],
        ["Smith", "Jo", 20067931.0, "jo@x.edu"],
    ]
    found = read(tmp_path, spreadsheet(rows, empty_first=True), "list.xlsx")
    assert found.entries == [
        Entry(4, "Zoë Müller", email="zoe@x.edu", number="20067930"),
        Entry(5, "Jo Smith", email="jo@x.edu", number="20067931"),
    ]


def test_moodle_in_other_languages(tmp_path: Path) -> None:
    for header in (
        "Vorname,Nachname,E-Mail-Adresse",
        "Prénom,Nom,Adresse de courriel",
        "Nombre,Apellido(s),Correo electrónico",
    ):
        (entry,) = read(tmp_path, f"{header}\nZoë,Müller,zoe@x.edu\n".encode()).entries
        assert (entry.name, entry.email) == ("Zoë Müller", "zoe@x.edu")


def test_order_and_case_of_columns_do_not_matter(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, b"EMAIL|last_name|First-Name\na@x.edu|Lee|Ann\n").entries
    assert entry == Entry(2, "Ann Lee", email="a@x.edu")


def test_a_login_that_is_an_address_is_one(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, b'Student,SIS Login ID,Section\n"Lee, Ann",ann@x.edu,1\n').entries
    assert (entry.email, entry.login) == ("ann@x.edu", None)


def test_a_roster_of_github_classroom(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, b"identifier,github_username,github_id,name,email\nx,ann-lee,7,Ann Lee,a@x.edu\n").entries
    assert (entry.name, entry.email, entry.github) == ("Ann Lee", "a@x.edu", "ann-lee")


def test_excels_own_line_that_names_the_delimiter(tmp_path: Path) -> None:
    assert read(tmp_path, b"sep=;\r\nname;email\r\nAnn Lee;a@x.edu\r\n").entries[0].name == "Ann Lee"


def test_control_and_invisible_characters_are_gone(tmp_path: Path) -> None:
    nasty = 'name,email\n"Ann\x1b[31m\u202e \u200bLee\u00a0X\nY",a@x.edu\n'
    assert read(tmp_path, nasty.encode()).entries[0].name == "Ann[31m Lee X Y"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; export the list again"),
        (b"\n\n", "is empty"),
        (b"name,email\n", "nobody below them"),
        (b"Lab 1,Lab 2\n3,4\n", "has no row of column names such as Last Name, First Name, Username, Email"),
        (b"name\nAnn Lee\n", "has no row of column names"),
        (b"name,email\nAnn Lee,ann at x.edu\n", "list.csv:2: the value in the email column is no email address"),
        (b"number,email,name\n20067930,,\n", "list.csv:2: neither name, email address nor login"),
        (b'name,email\n"Ann Lee,a@x.edu\n', "is not a table"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an Excel file of before 2007; open it and save it as"),
        (b"PK\x03\x04 not a zip", "is no Excel file, or a damaged one"),
        (b"%PDF-1.7\n", "is a PDF; export the list as CSV or Excel"),
        (b"<html><table><tr><td>Name</td></tr></table></html>", "is a web page with another ending"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, "is not text"),
        (b"\xff\xfe" + "name".encode("utf-16-le") + b"\x00", "has bytes that are no text"),
    ],
)
def test_a_wrong_file_is_one_line_with_what_to_do(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(CoursehubError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert says in message
    assert "; " in message
    assert caught.value.exit_code == 2
    assert "Ann" not in message


def test_no_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(CoursehubError, match="there is no such file"):
        classlist.read(tmp_path / "nothing.csv")
    with pytest.raises(CoursehubError, match="cannot be read"):
        classlist.read(tmp_path)


def test_a_spreadsheet_without_names_and_a_bomb(tmp_path: Path) -> None:
    with pytest.raises(CoursehubError, match="has no sheet with column names"):
        read(tmp_path, spreadsheet([["Lab 1"], [3]]), "list.xlsx")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(classlist.MAX_BYTES * 10 + 1))
    with pytest.raises(CoursehubError, match="unpacks to more"):
        read(tmp_path, bomb.getvalue(), "list.xlsx")


def test_a_damaged_spreadsheet_is_one_line(tmp_path: Path) -> None:
    whole = spreadsheet([["name", "email"], *(["Ann Lee", f"ann{n}@x.edu"] for n in range(50))])
    for part, damage in (
        ("xl/worksheets/sheet1.xml", lambda text: text[: len(text) // 2]),
        ("xl/worksheets/sheet1.xml", lambda text: text.replace(b'r="A3"', b'r="?3"')),
        ("xl/worksheets/sheet1.xml", lambda _: b""),
        ("xl/workbook.xml", lambda text: text[:-20]),
    ):
        with pytest.raises(CoursehubError, match="is no Excel file, or a damaged one; save it as CSV") as caught:
            read(tmp_path, _with(whole, part, damage), "list.xlsx")
        assert caught.value.exit_code == 2
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        start = archive.getinfo("xl/worksheets/sheet1.xml").header_offset + 80
    with pytest.raises(CoursehubError, match="is no Excel file, or a damaged one; save it as CSV"):
        read(tmp_path, whole[:start] + bytes(40) + whole[start + 40 :], "list.xlsx")


def _with(whole: bytes, part: str, damage: Callable[[bytes], bytes]) -> bytes:
    """The spreadsheet with one of its parts damaged."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, damage(old.read(name)) if name == part else old.read(name))
    return made.getvalue()


def test_too_big_a_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "list.csv").open("wb") as handle:
        handle.truncate(classlist.MAX_BYTES + 1)
    with pytest.raises(CoursehubError, match="which no class list has"):
        classlist.read(tmp_path / "list.csv")


@chance
@given(
    content=st.one_of(st.binary(max_size=400), st.text(max_size=300).map(lambda text: f"name,email\n{text}".encode()))
)
def test_no_bytes_end_in_anything_but_people_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "list.csv"
    path.write_bytes(content)
    try:
        assert classlist.read(path).entries
    except CoursehubError as error:
        assert "\n" not in str(error)
