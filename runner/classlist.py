"""Class lists as learning management systems export them, read into one kind of line.

Brightspace (D2L), Canvas, Moodle, Blackboard, and any table with a row of column names: CSV with any usual delimiter
in UTF-8, UTF-16 or Windows-1252, and XLSX. Which system it was is told by the columns, never asked for.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import USAGE, CoursehubError

if TYPE_CHECKING:
    from runner.people import Role

#: Bytes and lines of one course's list, generously: beyond that it is another kind of file.
MAX_BYTES = 20 * 1024**2
MAX_LINES = 10_000
#: Rows among which the row of column names is looked for; some exports have a title above it.
_HEAD_ROWS = 20
_DELIMITERS = (",", ";", "\t", "|")

#: Names of columns, in letters and digits only, by what they hold; the first that a file has counts. English as the
#: systems export it, and Moodle's own words in some of the languages it exports in.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "last": ("lastname", "surname", "familyname", "last", "nachname", "nom", "apellidos", "apellido", "cognome"),
    "first": ("firstname", "givenname", "givennames", "forename", "first", "vorname", "prenom", "nombre", "nome"),
    "name": ("student", "name", "fullname", "studentname", "userfullname", "displayname", "nomcomplet"),
    "email": (
        *("email", "emailaddress", "mail", "primaryemail", "schoolemail", "emailadresse", "adressedecourriel"),
        *("direcciondecorreo", "correoelectronico", "indirizzoemail"),
    ),
    "login": ("sisloginid", "username", "loginid", "login", "userid", "netid", "benutzername", "nomdutilisateur"),
    "number": (
        *("orgdefinedid", "sisuserid", "studentid", "studentnumber", "idnumber", "number", "matriculationnumber"),
        *("matrikelnummer", "idnummer", "numerodidentification", "numerodeid", "id"),
    ),
    # GitHub Classroom's roster.
    "github": ("githubusername", "githublogin", "github"),
    "role": ("role", "roles", "courserole", "rolle", "rollen"),
    "groups": ("groups", "group", "groupname", "teams", "team", "gruppen", "groupes", "grupos"),
    "state": ("availability", "status", "enrollmentstate", "enrolmentstatus"),
}
#: What only one system's exports have, for the line that says what was read.
_SYSTEMS: tuple[tuple[str, frozenset[str]], ...] = (
    ("Brightspace", frozenset({"orgdefinedid"})),
    ("Brightspace", frozenset({"endoflineindicator"})),
    ("Canvas", frozenset({"student", "sisloginid"})),
    ("Canvas", frozenset({"student", "section"})),
    ("Blackboard", frozenset({"username", "studentid", "lastaccess"})),
    ("Blackboard", frozenset({"username", "studentid", "availability"})),
    ("Moodle", frozenset({"firstname", "surname", "emailaddress"})),
    ("Moodle", frozenset({"firstname", "lastname", "emailaddress"})),
)
#: Words in a role's name, most telling first: Moodle's "Non-editing teacher" is an assistant, "Student-AC" a student.
_ROLE_WORDS: tuple[tuple[str, Role], ...] = (
    ("nonediting", "assistants"),
    ("assistant", "assistants"),
    ("grader", "assistants"),
    ("tutor", "assistants"),
    ("auditor", "guests"),
    ("guest", "guests"),
    ("observer", "guests"),
    ("student", "students"),
    ("learner", "students"),
    ("participant", "students"),
    ("professor", "professors"),
    ("instructor", "professors"),
    ("teacher", "professors"),
    ("lecturer", "professors"),
)
_ROLE_ALONE: dict[str, Role] = {"ta": "assistants", "tas": "assistants"}
#: Values of a state column that say: not in the class any more.
_ABSENT = frozenset({"no", "suspended", "inactive", "notcurrent", "deleted", "completed", "concluded"})
#: What a spreadsheet's reading raises for one that is damaged.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, SyntaxError, EOFError, OSError),
    *(LookupError, ValueError, TypeError, AttributeError, NotImplementedError),
)
_EMAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+\.[^@\s<>,;]+")


@dataclass(frozen=True)
class Entry:
    """One person as a line of the file has them; ``groups`` None where the file says nothing of groups."""

    line: int
    name: str
    email: str | None = None
    login: str | None = None
    number: str | None = None
    github: str | None = None
    role: Role | None = None
    groups: tuple[str, ...] | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """Who it is, by the surest mark that the line has."""
        for kind, value in (("number", self.number), ("email", self.email), ("login", self.login)):
            if value:
                return kind, value.casefold()
        return "name", self.name


@dataclass(frozen=True)
class ClassFile:
    """What a file holds: the system that it came from, its people, and why lines were left out."""

    system: str
    entries: list[Entry]
    notes: list[str]


def read(path: Path) -> ClassFile:
    """Read a class list.

    Raises CoursehubError (2) that names the line where there is one, for a file that is not there, is no table, has no
    column that tells people apart, or has a line that makes no sense. Its people's names are in no message.
    """
    shown = path.name
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except FileNotFoundError as error:
        raise CoursehubError(
            f"{path}: there is no such file; give the path of the exported list", exit_code=USAGE
        ) from error
    except (IsADirectoryError, PermissionError) as error:
        raise CoursehubError(
            f"{path}: cannot be read ({error.strerror}); give another file", exit_code=USAGE
        ) from error
    if size > MAX_BYTES:
        raise _refused(shown, f"has {size // 1024**2} MB, which no class list has", "export the list alone")
    try:
        return parse(list(_rows(content, shown)), shown)
    except csv.Error as error:
        raise _refused(shown, f"is not a table ({error})", "export it again as CSV") from error


def parse(rows: Sequence[tuple[int, Sequence[str]]], shown: str) -> ClassFile:
    """The people of a table, given as its rows with their line numbers. Raises as ``read`` does."""
    if not any(any(row) for _, row in rows):
        raise _refused(shown, "is empty", "export the list again")
    start, columns, header = _find_header(rows, shown)
    system = _system(header) or "a table"
    if system == "Canvas" and "login" in columns and "sisuserid" not in header:
        # Canvas' own ID is no number of the college. An assistant's export has no other, and would make each student
        # somebody else than the professor's export does.
        columns.pop("number", None)
    notes: list[str] = []
    entries = [entry for number, row in rows[start + 1 :] if (entry := _entry(number, row, columns, shown, notes))]
    if len(entries) > MAX_LINES:
        raise _refused(shown, f"has {len(entries)} people, which no course has", "export one course's list")
    if not entries:
        raise _refused(shown, "has column names and nobody below them", "export the list again, with its people")
    return ClassFile(system, entries, notes)


def exported_by(content: bytes) -> str | None:
    """The system whose export these bytes are, in any encoding or as a spreadsheet; None for all else."""
    try:
        _, _, header = _find_header(list(itertools.islice(_rows(content, ""), _HEAD_ROWS)), "")
    except (CoursehubError, csv.Error):
        return None
    return _system(header)


def _system(header: Iterable[str]) -> str | None:
    return next((name for name, needed in _SYSTEMS if needed <= set(header)), None)


def _refused(shown: str, what: str, do: str) -> CoursehubError:
    return CoursehubError(f"{shown} {what}; {do}", exit_code=USAGE)


# -- bytes to rows ---------------------------------------------------------------------------------------


def _rows(content: bytes, shown: str) -> Iterator[tuple[int, list[str]]]:
    if content.startswith(b"PK\x03\x04"):
        yield from _spreadsheet(content, shown)
        return
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise _refused(shown, "is an Excel file of before 2007", "open it and save it as .xlsx or CSV")
    if content.startswith(b"%PDF"):
        raise _refused(shown, "is a PDF", "export the list as CSV or Excel")
    text = decode(content, shown)
    if re.match(r"\s*<(!doctype|html|table|\?xml)", text, re.IGNORECASE):
        raise _refused(
            shown, "is a web page with another ending", "open it in a spreadsheet and save it as .xlsx or CSV"
        )
    text = re.sub(r"\Asep=.\r?\n", "\n", text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    first = reader.line_num + 1
    for row in reader:
        yield first, [clean(cell) for cell in row]
        first = reader.line_num + 1


def decode(content: bytes, shown: str) -> str:
    """Text in whatever encoding: by its mark, by the zeros that UTF-16 has, UTF-8 if it is valid, else Windows-1252."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return _decoded(content, encoding, shown)
    head = content[:1000]
    if head[1::2].count(0) > len(head) // 4:
        return _decoded(content, "utf-16-le", shown)
    if head[::2].count(0) > len(head) // 4:
        return _decoded(content, "utf-16-be", shown)
    if b"\0" in content:
        raise _refused(shown, "is not text", "export the list as CSV or Excel")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _decoded(content, "cp1252", shown)


def _decoded(content: bytes, encoding: str, shown: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise _refused(shown, "has bytes that are no text", "save it as CSV in UTF-8") from error


def _delimiter(text: str) -> str:
    """The one that makes the most known column names of one of the first lines."""
    head = text.splitlines()[:_HEAD_ROWS]

    def known(delimiter: str) -> int:
        return max((len(_columns(_normal(row))) for row in csv.reader(head, delimiter=delimiter)), default=0)

    return max(_DELIMITERS, key=known)


def _spreadsheet(content: bytes, shown: str) -> list[tuple[int, list[str]]]:
    # Every verb starts through here, and only this one needs it: a fifth of a second.
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # A few kilobytes may unpack to gigabytes.
            if sum(part.file_size for part in archive.infolist()) > 10 * MAX_BYTES:
                raise _refused(shown, "unpacks to more than any class list", "save it as CSV")
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        # Damage shows only where it is read: a sheet cut off is a SyntaxError of its XML.
        for sheet in book.worksheets:
            rows = [
                (number, [clean(_cell(value)) for value in row])
                for number, row in enumerate(sheet.iter_rows(values_only=True, max_row=MAX_LINES + _HEAD_ROWS), 1)
            ]
            if any(_tells_people_apart(_columns(_normal(row))) for _, row in rows[:_HEAD_ROWS]):
                return rows
    except (*_DAMAGED, InvalidFileException) as error:
        raise _refused(shown, "is no Excel file, or a damaged one", "save it as CSV and give that") from error
    raise _refused(shown, f"has no sheet with column names such as {_WANTED}", "export the list again")


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        # Excel keeps every number, a student's too, as a fraction.
        return str(int(value))
    return "" if value is None else str(value)


def clean(cell: str) -> str:
    """A cell as one line of visible text."""
    text = unicodedata.normalize("NFC", cell)
    text = "".join(letter if unicodedata.category(letter)[0] not in "CZ" else _space(letter) for letter in text)
    return " ".join(text.split())


def _space(letter: str) -> str:
    # A joiner belongs to how some names are written, and is no more visible than what else has no place here.
    return " " if unicodedata.category(letter)[0] == "Z" or letter in "\t\r\n" else ""


# -- rows to people --------------------------------------------------------------------------------------

_WANTED = "Last Name, First Name, Username, Email"


def _normal(row: Iterable[str]) -> list[str]:
    # "Prénom" is "prenom", "E-Mail Address" is "emailaddress", a mark of the encoding before the first name is gone.
    plain = (unicodedata.normalize("NFKD", clean(cell)).casefold() for cell in row)
    return [re.sub(r"[^a-z0-9]", "", name) for name in plain]


def _columns(header: Sequence[str]) -> dict[str, int]:
    """Where each kind of fact stands."""
    found = {}
    for kind, names in _COLUMNS.items():
        at = [header.index(name) for name in names if name in header]
        if at:
            found[kind] = at[0]
    return found


def _tells_people_apart(columns: dict[str, int]) -> bool:
    named = "name" in columns or {"first", "last"} <= columns.keys()
    return ("email" in columns or "login" in columns or named) and len(columns) > 1


def _find_header(rows: Sequence[tuple[int, Sequence[str]]], shown: str) -> tuple[int, dict[str, int], list[str]]:
    for position, (_, row) in enumerate(rows[:_HEAD_ROWS]):
        header = _normal(row)
        columns = _columns(header)
        if _tells_people_apart(columns):
            return position, columns, header
    raise _refused(
        shown,
        f"has no row of column names such as {_WANTED}",
        "export the list with a header row, or write one as its first line",
    )


def _entry(number: int, row: Sequence[str], columns: dict[str, int], shown: str, notes: list[str]) -> Entry | None:
    def get(kind: str) -> str:
        at = columns.get(kind)
        # Brightspace writes "#" before numbers and logins, so that a spreadsheet leaves them alone.
        value = row[at] if at is not None and at < len(row) else ""
        return value.removeprefix("#").strip() if kind in ("number", "login") else value

    name = _name(get)
    if not any(row) or name.casefold() in ("points possible", "test student") or get("login").endswith("_previewuser"):
        return None
    if re.sub(r"[^a-z]", "", get("state").casefold()) in _ABSENT:
        notes.append(f"line {number} is left out: its state is {get('state')}")
        return None
    if not (name or get("email") or get("login") or get("number")):
        return None
    email, login = get("email") or None, get("login") or None
    if login and _EMAIL.fullmatch(login):
        email, login = email or login, None
    if email and not _EMAIL.fullmatch(email):
        raise CoursehubError(f"{shown}:{number}: the email address is none; correct it in the file", exit_code=USAGE)
    name = name or login or (email or "").partition("@")[0]
    if not name:
        raise CoursehubError(
            f"{shown}:{number}: neither name, email address nor login; complete or remove the line", exit_code=USAGE
        )
    return Entry(
        line=number,
        name=name[:200],
        email=email,
        login=login,
        number=get("number") or None,
        github=get("github").removeprefix("@") or None,
        role=_role(get("role"), number, notes),
        groups=_groups(get("groups")) if "groups" in columns else None,
    )


def _name(get: Callable[[str], str]) -> str:
    if get("first") or get("last"):
        return f"{get('first')} {get('last')}".strip()
    # Canvas: "Last, First".
    last, comma, first = get("name").partition(",")
    return f"{first} {last}".strip() if comma else get("name")


def _role(text: str, number: int, notes: list[str]) -> Role | None:
    if not text:
        return None
    plain = re.sub(r"[^a-z]", "", text.casefold())
    role = _ROLE_ALONE.get(plain) or next((role for word, role in _ROLE_WORDS if word in plain), None)
    if role is None:
        notes.append(f"line {number}: the role is none of ours; who is new becomes a student")
    return role


def _groups(text: str) -> tuple[str, ...]:
    slugs = (re.sub(r"[^a-z0-9]+", "-", part.casefold()).strip("-") for part in re.split(r"[,;|]", text))
    # Moodle writes "No groups" into the column.
    named = (slug if slug[:1].isalpha() else f"group-{slug}" for slug in slugs if slug not in ("", "no-groups"))
    return tuple(dict.fromkeys(name[:23].rstrip("-") for name in named))
