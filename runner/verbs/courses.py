"""``new`` and ``validate``: verbs on course files only. No network, no cloud, no root."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runner.course import (
    COURSE_ID,
    Course,
    CourseFile,
    Source,
    course_ids,
    load,
    neighbours,
    schema,
)
from runner.course import source as source_of
from runner.course.problems import Problem, explain, find, key_of
from runner.course.writing import compose
from runner.errors import USAGE, CoursehubError
from runner.packages import lock
from runner.project import Project
from runner.providers import KINDS, kind_of
from runner.secrets import Secrets
from runner.session import names
from runner.setup import material, signin

Choices = dict[str, Any]
#: Asks a person for one value: its name, the question, the default or None, and a function that returns what is wrong
#: with an answer.
Ask = Callable[[str, str, str | None, Callable[[str], str | None]], str]

#: The questions of ``new``, in this order; the first four have no useful default.
QUESTIONS = {
    "title": "What is the course called?",
    "domain": "Which address will students type? (a name such as engr114.example.edu)",
    "contact": "Your email address (for the account at the certificate authority)",
    "professor": "Your name",
    "account": "Your account, to sign in with",
    "email": "Your email address at the college, by which class lists and sign-in services know you",
    "cloud": "Where is the server made? (local: this computer, for trying out; digitalocean: a droplet)",
    "size": "How big is it? (the cloud's own word)",
    "timezone": "In which time zone is the class?",
    "packages": "Which Python packages? (separated by commas; may be empty)",
}
REQUIRED = ("title", "domain", "contact", "professor")
#: What belongs to one term only, besides people: announcements.
_OF_ONE_TERM = ("message",)


def validate(project: Project, wanted: list[str]) -> dict[str, Any]:
    """Every mistake of the named course files, or of all."""
    looked = [(course_id, _problems(project, course_id)) for course_id in wanted or course_ids(project)]
    stray = [] if wanted else list(_stray(project))
    return {
        "ok": not stray and not any(found for _, found in looked),
        "courses": [
            {
                "course": course_id,
                "file": project.shown(project.course_file(course_id)),
                "ok": not found,
                "errors": [asdict(one) for one in found],
            }
            for course_id, found in looked
        ],
        "errors": [asdict(one) for one in stray],
    }


def _stray(project: Project) -> Iterator[Problem]:
    """Files that look like course files but are never read."""
    for path in sorted(project.courses.glob("*.y*ml")):
        message = "a course file's name ends in .sls; rename it"
        yield Problem(project.shown(path), 1, "", message)


def _problems(project: Project, course_id: str) -> list[Problem]:
    shown = project.shown(project.course_file(course_id))
    if not COURSE_ID.fullmatch(course_id) and project.course_file(course_id).is_file():
        message = "a course's file is called by at most 31 small letters, digits and -, a letter first; rename it"
        return [Problem(shown, 1, "", message)]
    try:
        source = source_of(project, course_id)
    except CoursehubError as error:
        if not project.course_file(course_id).is_file():
            raise
        return [_problem(str(error), shown)]
    found = find(source)
    if found:
        return found
    try:
        course = load(project, course_id)
    except CoursehubError as error:
        return [_problem(str(error), shown)]
    found = [
        Problem(shown, source.line(("course", key)), key, message) for key, message in kind_of(course).mistakes(course)
    ]
    return [
        *found,
        *_of_names(project, course_id, course, source),
        *_of_signin(project, course_id, course, source),
        *_of_material(project, course_id, course, source),
        *_of_the_lock(project, course_id, course, source),
    ]


def _of_names(project: Project, course_id: str, course: Course, source: Source) -> list[Problem]:
    found = neighbours.taken(project, course_id, course)
    location = ("course", "domain")
    return [Problem(source.shown, source.line(location), "domain", names.said(*found))] if found else []


def _of_signin(project: Project, course_id: str, course: Course, source: Source) -> list[Problem]:
    """What is missing for sign-in. If the class list is encrypted, only ``plan`` and ``apply`` can check more."""
    at = source.at("course", "signin", "kind")
    try:
        signin.need(course, course.people, Secrets(project, course_id), at)
    except CoursehubError as error:
        return [_problem(str(error), source.shown)]
    return []


def _of_material(project: Project, course_id: str, course: Course, source: Source) -> list[Problem]:
    """Missing deploy keys; only ``plan`` and ``apply`` can check that they are valid."""
    at = source.at("course", "material", "repositories")
    try:
        material.need(course, course_id, Secrets(project, course_id), at, by_name=True)
    except CoursehubError as error:
        return [_problem(str(error), source.shown)]
    return []


def _problem(message: str, shown: str) -> Problem:
    """An error that contains ``file:line: what`` already, as a Problem."""
    match = re.match(rf"{re.escape(shown)}:(\d+): (.*)", message)
    return Problem(shown, int(match[1]), "", match[2]) if match else Problem(shown, 1, "", message)


def _of_the_lock(project: Project, course_id: str, course: Course, source: Source) -> list[Problem]:
    line = source.line(("course", "packages"))
    try:
        if lock.lock_path(course_id, project.root).is_file():
            lock.ensure_lock(course_id, course.locked_packages, project.root, line=line)
        else:
            lock.parse_packages(course.locked_packages, source.at("course", "packages"))
    except CoursehubError as error:
        return [_problem(str(error), source.shown)]
    return []


def new(project: Project, course_id: str, answers: Mapping[str, Any], old: str | None, ask: Ask | None) -> Choices:
    """Write a course file from ``answers``, from an old course, or from a person's answers at a terminal.

    ``ask`` is None if nobody can be asked. Raises CoursehubError (2) if the file exists, or if an answer is wrong or
    missing; then nothing is written.
    """
    source, document = draft(project, course_id, answers, old, ask)
    write(source)
    return document


def draft(
    project: Project, course_id: str, answers: Mapping[str, Any], old: str | None, ask: Ask | None
) -> tuple[Source, Choices]:
    """A course file that is not written yet, and what ``new`` says about it. Raises CoursehubError as ``new`` does."""
    if not COURSE_ID.fullmatch(course_id):
        raise CoursehubError(
            f"{course_id!r} cannot name a course; take at most 31 small letters, digits and -, a letter first and not "
            "-people last",
            exit_code=USAGE,
        )
    path = project.course_file(course_id)
    if path.exists():
        raise CoursehubError(f"{project.shown(path)} is there already; edit it, or take another name", exit_code=USAGE)
    given = {key: value for key, value in answers.items() if value is not None}
    if old:
        choices, left = _from_old(project, old)
        if "domain" not in given and ask is None:
            raise CoursehubError(
                f"--domain must be given: {choices['domain']} is the address of {old}, and one address leads to one "
                "server",
                exit_code=USAGE,
            )
        asked = () if "people" in choices else ("professor", "account", "email")
        given = _all_answers(given, ask, ("domain", *asked))
        choices |= _choices(given, choices)
    else:
        choices, left = _choices(_all_answers(given, ask, tuple(QUESTIONS)), {}), []
    text = compose(course_id, choices)
    source = Source(path, project.shown(path), text)
    _refuse(choices)
    return source, {
        "course": course_id,
        "file": source.shown,
        "look_at": [*left, *_to_look_at(project, source, old, given)],
        "next": [f"./coursehub validate {course_id}", f"./coursehub up {course_id}"],
    }


def write(source: Source) -> None:
    """Write a new course file. Raises CoursehubError (2) if it exists by now."""
    source.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with source.path.open("x", encoding="utf-8") as handle:
            handle.write(source.text)
    except FileExistsError:
        raise CoursehubError(f"{source.shown} is there already; take another name", exit_code=USAGE) from None
    except OSError:
        source.path.unlink(missing_ok=True)
        raise


def _all_answers(given: Choices, ask: Ask | None, questions: tuple[str, ...]) -> Choices:
    """The answers to ``questions``; missing ones are asked for."""
    missing = [key for key in REQUIRED if key in questions and key not in given]
    if not missing:
        return given
    if ask is None:
        flags = ", ".join(f"--{key}" for key in missing)
        raise CoursehubError(f"{flags} must be given; or run it in a terminal and it asks", exit_code=USAGE)
    _refuse(_choices(given, {}), only=given)
    answers = dict(given)
    for key in questions:
        if key not in answers:
            default = _default(key, answers)
            answers[key] = ask(key, QUESTIONS[key], default, functools.partial(_wrong, key))
    return answers


def _default(key: str, answers: Choices) -> str | None:
    """The default for an empty answer; None if only the teacher can know."""
    if key == "account":
        return account_of(answers["professor"]) or None
    if key == "email":
        return str(answers["contact"]) if "contact" in answers else None
    if key == "timezone":
        return _own_timezone()
    if key == "packages":
        return ""
    return None if key in REQUIRED else str((schema.node_at(("course", key)) or {})["default"])


def _own_timezone() -> str:
    try:
        here = Path("/etc/timezone").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        here = ""
    return here if _wrong("timezone", here) is None else "Etc/UTC"


def _wrong(key: str, answer: str) -> str | None:
    """What is wrong with one answer, or None."""
    return next(iter(_messages(_choices({key: answer}, {}), only={key})), None)


def account_of(name: str) -> str:
    """A suggestion for a person's account: the last name in lower-case ASCII letters; empty if it has none."""
    last = name.split()[-1:]
    plain = unicodedata.normalize("NFKD", "".join(last)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", plain.lower()).lstrip("0123456789")[:32]


def _choices(given: Choices, old: Choices) -> Choices:
    """The answers with the file's own keys, and the other keys that a new file shows."""
    made = {key: value for key, value in given.items() if key not in ("professor", "account", "email", "packages")}
    if "packages" in given:
        packages = given["packages"]
        made["packages"] = _list(packages) if isinstance(packages, str) else list(packages)
    if {"professor", "account", "email"} & given.keys():
        name = given.get("professor", "A professor")
        professor = {"account": given.get("account") or account_of(name), "name": name}
        # Without an email address, a student with the same name could not be told from the professor.
        email = given.get("email") or given.get("contact") or old.get("contact")
        made["people"] = {"professors": [{**professor, **({"email": email} if email else {})}]}
        made["people"] |= {"assistants": [], "students": []}
    if old:
        return made
    course = schema.node_at(("course",)) or {}
    shown = {key: course["properties"][key]["default"] for key in ("cloud", "size", "timezone", "packages", "imports")}
    return {**shown, "limits": {"memory": "1G", "cpu": 1.0}, **made}


def _list(text: str) -> list[str]:
    """``numpy, pandas>=2,<3`` as a list: a comma before a comparison belongs to the package."""
    return [one.strip() for one in re.split(r",(?!\s*[<>=!~])|\s*\n\s*", text) if one.strip()]


def _messages(choices: Choices, only: Mapping[str, Any] | set[str] | None) -> Iterator[str]:
    """What is wrong with choices that are not in a file yet, each with its flag."""
    try:
        CourseFile.model_validate({"course": choices})
    except ValidationError as failure:
        for error in failure.errors():
            key = _flag(error["loc"][1:])
            if only is None or key in only:
                yield f"--{key}{explain(error).removeprefix(key_of(error['loc']))}"


def _flag(location: tuple[str | int, ...]) -> str:
    if location[:1] == ("people",):
        return {"name": "professor", "email": "email"}.get(str(location[-1]), "account")
    return str(location[0]) if location else "title"


def _refuse(choices: Choices, only: Mapping[str, Any] | None = None) -> None:
    wrong = list(_messages(choices, only))
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise CoursehubError(f"{wrong[0]}{more}; nothing was written", exit_code=USAGE)


def _from_old(project: Project, old: str) -> tuple[Choices, list[str]]:
    """An old course's choices without its class, and what was left out.

    Professors are kept, because a file needs one.
    """
    source = source_of(project, old)
    for problem in find(source):
        raise CoursehubError(str(problem), exit_code=USAGE)
    choices = dict(source.data["course"])
    shown = source.shown
    people = choices.pop("people", None)
    left = [f"people: the class of {shown} is left out"]
    if people:
        choices["people"] = {"professors": people["professors"], "assistants": [], "students": []}
        left = [f"people: the class of {shown} is left out, its professors stay"]
    page = dict(choices.get("page") or {})
    for key in _OF_ONE_TERM:
        if page.pop(key, None) is not None:
            left.append(f"page.{key}: the old one is left out")
            choices["page"] = page
    if choices.pop("term", None):
        left.append("term: the old dates are left out")
    return choices, left


def _to_look_at(project: Project, source: Source, old: str | None, given: Choices) -> Iterator[str]:
    """What a program cannot decide: lines that name the place in the new file."""
    course = source.data["course"]
    course_id = source.path.stem
    yield (
        f"{source.at('course', 'people')}: people: write the class here; or keep it encrypted: "
        f"./coursehub roster encrypt {course_id}, then ./coursehub roster import {course_id} FILE"
    )
    if not old:
        zone = KINDS[course["cloud"]].zone
        if zone and not course["domain"].endswith(f".{zone}"):
            yield f"{source.at('course', 'domain')}: domain: with cloud: {course['cloud']} the address ends in .{zone}"
        return
    if "title" not in given:
        yield f"{source.at('course', 'title')}: title: still that of {old}"
    found = neighbours.taken(project, course_id, Course.model_construct(domain=course["domain"], www=False))
    if found:
        yield (
            f"{source.at('course', 'domain')}: domain: still that in {found[1]}; run ./coursehub down {old} and remove "
            "its file before this one is brought up, or take another"
        )
    newest = (schema.node_at(("course", "image")) or {})["default"]
    if course.get("image", newest) != newest:
        yield f"{source.at('course', 'image')}: image: the newest is {newest}"
    if course.get("packages"):
        yield (
            f"{source.at('course', 'packages')}: packages: their newest versions that fit are taken at the first up, "
            f"not those of {project.shown(lock.lock_path(old, project.root))}"
        )
    if course.get("backup", {}).get("targets"):
        yield (
            f"{source.at('course', 'backup')}: backup: its places are still those of {old}; give this course a path or "
            f"folder of its own at each, such as /backups/{course_id}"
        )
