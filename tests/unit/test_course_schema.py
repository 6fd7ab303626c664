"""The schema, the reference page and the example are generated from the model and up to date."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from runner import course
from runner.course import CourseFile, reference, schema
from runner.course.source import Source
from runner.project import Project
from runner.verbs import generated

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]
HERE = Project(REPO)
KEYS = [pytest.param(path, node, id=".".join(path)) for path, node in schema.walk()]


@pytest.mark.parametrize("path", list(generated.texts()), ids=str)
def test_what_is_made_from_the_model_is_up_to_date(path: Path) -> None:
    assert (REPO / path).read_text(encoding="utf-8") == generated.texts()[path], "run ./coursehub schema --write"


def test_the_schema_is_one() -> None:
    made = schema.course_schema()
    jsonschema.Draft7Validator.check_schema(made)
    assert "$ref" not in schema.text(), "editors show what stands beside a reference badly"


@pytest.mark.parametrize(("path", "node"), KEYS)
def test_every_key_is_explained_and_has_examples_that_are_right(path: tuple[str, ...], node: dict[str, Any]) -> None:
    assert re.match(r"[A-Z].+\.$", node["description"]), "a sentence"
    if path == ("course",):
        return
    assert node["examples"]
    for example in node["examples"]:
        jsonschema.Draft7Validator(node).validate(example)


@pytest.mark.parametrize("course_id", course.course_ids(HERE))
def test_an_editor_finds_the_schema_and_nothing_to_mark(course_id: str) -> None:
    path = HERE.course_file(course_id)
    text = path.read_text(encoding="utf-8")
    named = re.search(r"^# yaml-language-server: \$schema=(\S+)$", text, re.MULTILINE)
    assert named, "add the line that editors look for"
    assert (path.parent / named[1]).resolve() == REPO / generated.SCHEMA
    jsonschema.Draft7Validator(schema.course_schema()).validate(yaml.safe_load(text))


def test_the_example_has_every_key_and_is_a_course() -> None:
    read = Source(REPO / generated.EXAMPLE, "pillar.example")
    CourseFile.model_validate(read.data)
    jsonschema.Draft7Validator(schema.course_schema()).validate(read.data)
    for path, _ in schema.walk():
        roles = [part for part in path if part == "[]"] and path[2] != "professors"
        assert roles or tuple(0 if part == "[]" else part for part in path) in read.lines, path


def test_the_page_has_every_key() -> None:
    page = reference.page()
    for path, _ in schema.walk():
        if path == ("course",) or ("[]" in path and path[2] != "professors"):
            continue
        shown = ".".join(path[1:]).replace(".[]", "[]")
        assert re.search(rf"^#+ {re.escape(shown)}$", page, re.MULTILINE), shown


def test_no_line_of_the_page_says_what_the_schema_does_not() -> None:
    wanted = {"timezone": "America/Los_Angeles", "idle_after": "from 5 to 10080", "cloud": "one of local, digitalocean"}
    for key, words in wanted.items():
        section = reference.page().split(f"\n## {key}\n")[1].split("\n## ")[0]
        assert words in section
