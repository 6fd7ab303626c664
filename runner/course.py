"""The pillar as typed, frozen objects. Parsing is validating; every error carries file and line."""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from runner.errors import USAGE, CoursehubError
from runner.project import Project

Location = tuple[str | int, ...]

#: useradd's own rule for portable names (useradd(8), "CAVEATS"), with the 32 bytes that utmp has room for.
ACCOUNT = re.compile(r"^[a-z_][a-z0-9_-]{0,31}$")
#: RFC 1123 labels; at least two, as no certificate authority signs a bare name.
HOSTNAME = re.compile(r"^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$")
COURSE_ID = re.compile(r"^[a-z][a-z0-9-]{0,30}$")
REQUIREMENT = re.compile(
    r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\[[A-Za-z0-9._,\s-]+\])?\s*"
    r"(([<>=!~]=?|===)\s*[A-Za-z0-9.*+!_-]+(\s*,\s*([<>=!~]=?|===)\s*[A-Za-z0-9.*+!_-]+)*)?$"
)
#: Accounts that the image or our formulas own: a person must never get one of these.
RESERVED = frozenset(
    # A word list reads better than forty quotes.
    """
    root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc nobody sshd messagebus
    systemd-network systemd-resolve systemd-timesync debian ubuntu admin sudo adm jupyterhub jupyterhub-proxy
    students instructors assistants coursehub coursehub-check
    """.split()  # noqa: SIM905
)


def _account(value: str) -> str:
    if not ACCOUNT.fullmatch(value):
        raise ValueError("an account starts with a small letter and has at most 32 small letters, digits, - and _")
    if value in RESERVED:
        raise ValueError("this account belongs to the system; choose another")
    return value


def _hostname(value: str) -> str:
    if not HOSTNAME.fullmatch(value):
        raise ValueError("not a full host name such as engr114.example.edu (small letters, no https://, no path)")
    return value


def _timezone(value: str) -> str:
    known = zoneinfo.available_timezones()
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        raise ValueError("not a time zone" + (f"; nearest: {near[0]}" if near else ""))
    return value


def _requirement(value: str) -> str:
    if not REQUIREMENT.fullmatch(value):
        raise ValueError("not a package with an optional version, such as numpy or 'numpy>=2,<3'")
    return value


Account = Annotated[str, AfterValidator(_account)]
Hostname = Annotated[str, AfterValidator(_hostname)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Requirement = Annotated[str, AfterValidator(_requirement)]
Module = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")]
#: An amount of memory or disk as systemd, nginx and SystemdSpawner all read it: 512M, 2G.
Amount = Annotated[str, Field(pattern=r"^[1-9][0-9]*[KMG]$")]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]


class Facts(BaseModel):
    """What all our typed pillar has in common: nothing unknown, nothing changed after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Person(Facts):
    """Somebody of the course: ``account`` is the Unix account and the name to sign in with."""

    account: Account
    name: Text


class People(Facts):
    """Who may sign in, by role; nobody else of the college can."""

    professors: Annotated[list[Person], Field(min_length=1)]
    assistants: list[Person] = []
    students: list[Person] = []

    @model_validator(mode="after")
    def _one_account_each(self) -> People:
        seen: set[str] = set()
        for person in self.everyone():
            if person.account in seen:
                raise ValueError(f"the account {person.account} is given twice")
            seen.add(person.account)
        return self

    def everyone(self) -> Iterator[Person]:
        """All people, professors first."""
        yield from self.professors
        yield from self.assistants
        yield from self.students


class Limits(Facts):
    """What one person's server may use: memory in bytes with a suffix, CPU in cores, tasks as a count."""

    memory: Amount = "1G"
    cpu: Annotated[float, Field(gt=0, le=64)] = 1.0
    tasks: Annotated[int, Field(ge=64, le=32768)] = 512


class Course(Facts):
    """One course file, key ``course:``. Sizes, regions and images are the cloud's own slugs."""

    title: Text
    domain: Hostname
    www: bool = True
    contact: Email
    cloud: Literal["local", "digitalocean"] = "local"
    dns: Literal["cloud", "manual"] = "cloud"
    region: Annotated[str, Field(pattern=r"^[a-z0-9]+$")] = "sfo3"
    size: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = "s-4vcpu-8gb"
    image: Literal["debian-13-x64", "debian-12-x64", "ubuntu-24-04-x64"] = "debian-13-x64"
    timezone: Timezone = "Etc/UTC"
    people: People
    packages: list[Requirement] = []
    imports: list[Module] = []
    limits: Limits = Limits()
    upload_limit: Amount = "100M"
    idle_after: Annotated[int, Field(ge=5, le=10080)] = 120

    @property
    def hostnames(self) -> tuple[str, ...]:
        """Every name of the hub, the one that is printed first."""
        return (self.domain, f"www.{self.domain}") if self.www else (self.domain,)


class CourseFile(Facts):
    """The file as a whole: one top key."""

    course: Course


class Source:
    """A YAML file with the line of each of its values."""

    def __init__(self, path: Path, shown: str) -> None:
        self.path = path
        self.shown = shown
        self.lines: dict[Location, int] = {(): 1}
        try:
            text = path.read_text(encoding="utf-8")
            self._refuse_jinja(text)
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            self.data: Any = yaml.safe_load(text)
        except UnicodeDecodeError as error:
            raise CoursehubError(f"{shown}: not UTF-8 text; save it as UTF-8", exit_code=USAGE) from error
        except yaml.YAMLError as error:
            raise self._yaml_error(error) from error
        except ValueError as error:
            # PyYAML takes 2026-02-30 for a date and then finds that there is none.
            raise CoursehubError(f"{shown}: {error}; put the value in quotes", exit_code=USAGE) from error
        if node is not None:
            self._walk(node, ())

    def _refuse_jinja(self, text: str) -> None:
        # pillar/hub.sls imports the file, and Salt renders what it imports: a title with braces would be executed.
        for number, line in enumerate(text.splitlines(), 1):
            if any(mark in line for mark in ("{{", "{%", "{#")):
                raise CoursehubError(
                    f"{self.shown}:{number}: Jinja is not for course files; write the value itself", exit_code=USAGE
                )

    def _yaml_error(self, error: yaml.YAMLError) -> CoursehubError:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "cannot be read"
        return CoursehubError(
            f"{self.shown}:{line}: not YAML: {problem}; look at the indentation and the quotes there", exit_code=USAGE
        )

    def _walk(self, node: yaml.Node, location: Location) -> None:
        self.lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.value in seen:
                    raise CoursehubError(
                        f"{self.shown}:{line}: {key.value} stands twice (first in line {seen[key.value]}); remove one",
                        exit_code=USAGE,
                    )
                seen[key.value] = line
                self.lines[(*location, key.value)] = line
                self._walk(value, (*location, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._walk(value, (*location, index))

    def line(self, location: Location) -> int:
        """The line of the value at ``location``, or of the nearest thing around it."""
        while location not in self.lines:
            location = location[:-1]
        return self.lines[location]

    def at(self, *location: str | int) -> str:
        """``file:line`` of a value, for an error message."""
        return f"{self.shown}:{self.line(location)}"


def _nearest(model: type[BaseModel], location: Location) -> str:
    """What to write instead of an unknown key: the nearest that exists, or all of them."""
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        arguments = getattr(annotation, "__args__", None)
        candidate = arguments[0] if arguments else annotation
        if not (isinstance(candidate, type) and issubclass(candidate, BaseModel)):
            return ""
        model = candidate
    near = difflib.get_close_matches(str(location[-1]), model.model_fields, n=1)
    return f"did you mean {near[0]}?" if near else f"the keys here are {', '.join(model.model_fields)}"


def _explain(error: ErrorDetails) -> str:
    """One pydantic error as a teacher reads it."""
    location = error["loc"]
    key = ".".join(str(part) for part in location[1:]) or "course"
    value = error.get("input")
    shown = f" ({value!r})" if isinstance(value, str | int | float | bool) else ""
    wanted = {
        "string_type": "wants text (in quotes)",
        "int_type": "wants a whole number",
        "float_type": "wants a number",
        "bool_type": "wants true or false",
        "list_type": "wants a list (a line with '- ' for each)",
        "model_type": "wants keys and values below it",
        "model_attributes_type": "wants keys and values below it",
    }.get(error["type"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {'.'.join(map(str, location[1:])) or location[-1]}; {_nearest(CourseFile, location)}"
    if error["type"] == "missing":
        return f"{key} is missing; add it"
    if error["type"] == "string_pattern_mismatch" and location[-1] in ("memory", "upload_limit"):
        wanted = "wants an amount such as 512M or 2G"
    if wanted is None:
        wanted = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{key}{shown}: {wanted}; correct it"


def course_ids(project: Project) -> list[str]:
    """All courses that have a file, sorted."""
    return sorted(path.stem for path in project.courses.glob("*.sls"))


def source(project: Project, course_id: str) -> Source:
    """The course's file with its lines. Raises CoursehubError (2) for an unknown course."""
    path = project.course_file(course_id)
    if not COURSE_ID.fullmatch(course_id) or not path.is_file():
        known = course_ids(project)
        near = difflib.get_close_matches(course_id, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none yet'}"
        raise CoursehubError(f"no course {course_id!r} ({project.shown(path)} is not there); {hint}", exit_code=USAGE)
    return Source(path, project.shown(path))


def load(project: Project, course_id: str) -> Course:
    """The course as typed facts.

    Raises CoursehubError (2) with ``file:line`` for YAML that does not parse, a key that does not exist (with
    the nearest that does), a key that is missing, or a value of the wrong type.
    """
    read = source(project, course_id)
    try:
        return CourseFile.model_validate(read.data).course
    except ValidationError as failure:
        errors = failure.errors()
        # A misspelt key is also a missing one: the misspelling is what to tell.
        first = min(errors, key=lambda error: (error["type"] != "extra_forbidden", read.line(error["loc"])))
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise CoursehubError(
            f"{read.shown}:{read.line(first['loc'])}: {_explain(first)}{more}", exit_code=USAGE
        ) from failure
