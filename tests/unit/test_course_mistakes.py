"""YAML mistakes: the right line, what is wrong, what to type, and none of YAML's own terms."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from runner.course.source import Source
from runner.course.writing import compose
from runner.errors import CoursehubError

pytestmark = pytest.mark.unit

QUOTES = 'put the value in quotes, as in title: "ENGR 114: Python"'


@pytest.mark.parametrize(
    ("below", "line", "says"),
    [
        ("\ttitle: x\n", 2, "a tab; indent with spaces"),
        ("  title: x\n    domain: y\n", 3, "4 spaces in front, but line 2 has 2; begin both in"),
        ("  title: x\n domain: y\n", 3, "1 space in front, which fits no line above (line 2 has 2)"),
        ('  title: "A\n  domain: a.b\n  contact: "p@x.edu"\n', 2, "a quote that opens here is not closed"),
        ('  domain: a.b\n  title: "A\n', 3, "a quote that opens here is not closed"),
        ("\u00a0\u00a0title: x\n", 2, "a no-break or other odd space"),
        ("  title:\u00a0x\n", 2, "a no-break or other odd space"),
        ("  title： x\n", 2, "a wide colon; type : and a space"),
        ("  “title”: x\n", 2, "a curly quote"),
        ("  title: 'Newton's laws'\n", 2, "a ' within '...'; put the value in double quotes instead"),
        ('  title: "The "best" one"\n', 2, 'a " within "..."; put the value in single quotes instead'),
        ('  title: "C:\\Users"\n', 2, "a \\ within double quotes; put the value in single quotes instead"),
        ("  title: @home\n", 2, f"a value cannot begin with @; {QUOTES}"),
        ("  title: %x\n", 2, f"a value cannot begin with %; {QUOTES}"),
        ("  title: `x`\n", 2, f"a value cannot begin with `; {QUOTES}"),
        ("  title: !x y\n", 2, f"a value that begins with ! is something else to YAML; {QUOTES}"),
        ("  title: *x\n", 2, QUOTES),
        ("  title: &x y\n", 2, f"a value that begins with & is something else to YAML; {QUOTES}"),
        ("  title: [MATH] Algebra\n", 2, f"text that begins with a bracket; {QUOTES}"),
        ("  title: ENGR 114: Python\n", 2, f"a value with a colon in it; {QUOTES}"),
        ("  title: Mechanics #1\n", 2, f"all from # on is a comment to YAML and is cut off; {QUOTES}"),
        ("  title: #1 Mechanics\n", 2, f"all from # on is a comment to YAML and is cut off; {QUOTES}"),
        ("  p: {account: turing, name: Turing, Alan}\n", 2, 'as in name: "Turing, Alan"'),
        ("  title: x\n<<<<<<< HEAD\n  size: a\n", 3, "a mark of a merge in git; keep one version"),
        ("  title: x\n  size = x\n  domain: a\n", 3, "= instead of a colon; write size: and the value"),
        ("  title: x\n  domain a.b\n  contact: y\n", 3, "no colon; write the key, a colon, a space, a value"),
        ("  title:x\n  domain: a\n", 2, "no space after the colon; type one"),
        ("  students: []\n    - {account: a}\n", 3, "an entry below 'students: []'; take the [] away there"),
        ("  limits: {tasks: 0512}\n", 2, "0512, which YAML reads as 330; write 512, or put it in quotes"),
        ("  tasks: 5:12\n", 2, "5:12, which YAML reads as 312; write a plain number"),
        ("  tasks: 0x10\n", 2, "0x10, which YAML reads as 16"),
        ("  tasks: 1_000\n", 2, "1_000, which YAML reads as 1000"),
        ("  cpu: .inf\n", 2, ".inf, which YAML reads as inf"),
        ("  title: a\x00b\n", 2, "a control character that nobody sees"),
        ("  title: x\n---\nb: 2\n", 3, "a second document, which --- begins"),
        ("  title: {{ x }}\n", 2, "Jinja is not for course files"),
    ],
)
def test_mistake_in_yaml_is_explained_plainly(below: str, line: int, says: str) -> None:
    with pytest.raises(CoursehubError) as caught:
        Source(Path("x"), "x.sls", f"course:\n{below}")
    message = str(caught.value)
    assert message.startswith(f"x.sls:{line}: ")
    assert says in message
    assert caught.value.exit_code == 2
    for jargon in ("block", "mapping", "scalar", "token", "expected", "flow", "not YAML"):
        assert jargon not in message


@pytest.mark.parametrize("first", ["#!py", "#!jinja", "#!jinja|yaml", "#!gpg|yaml"])
def test_a_first_line_that_makes_a_program_is_refused(first: str) -> None:
    with pytest.raises(CoursehubError, match=r"x.sls:1: #!.*: a course file is plain YAML and no program"):
        Source(Path("x"), "x.sls", f"{first}\ncourse: {{}}\n")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "course: " + "{a: " * 5000,
        "".join(" " * depth + "a:\n" for depth in range(3000)),
        "a: &a [x,x,x]\n" + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghi")),
        "a: &a [*a]\n",
        "#" * 1_000_001,
    ],
    ids=["brackets", "braces", "indents", "bomb", "itself", "huge"],
)
def test_a_file_made_to_hang_is_refused_at_once(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(CoursehubError) as caught:
        Source(Path("x"), "x.sls", text)
    assert time.monotonic() - began < 5
    assert caught.value.exit_code == 2


def test_what_is_right_stays_right() -> None:
    text = 'course:\n  title: "A # 1"  # the name\n  domain: a.b # x\n  size: s-1 #\n  tasks: 512 #256\n  cpu: 1.5\n'
    assert Source(Path("x"), "x.sls", text).data["course"] == {
        "title": "A # 1",
        "domain": "a.b",
        "size": "s-1",
        "tasks": 512,
        "cpu": 1.5,
    }


def test_a_letter_that_is_not_utf8_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.sls").write_bytes("course:\n  title: M\u00fcller\n".encode("latin-1"))
    with pytest.raises(CoursehubError, match=r"x.sls:2: a letter that is not UTF-8; save the file as UTF-8"):
        Source(tmp_path / "x.sls", "x.sls")


def test_new_file_has_no_commented_entry_below_a_value() -> None:
    """A commented entry below ``students: []`` invited teachers to remove the #."""
    text = compose("x", {"packages": [], "people": {"professors": [], "students": []}})
    lines = text.splitlines()
    assert not [line for line in lines if line.lstrip().startswith("#  -")]
    assert [line for line in lines if "# For example: students: [{account:" in line]


#: Choices such as those of a file that `new` writes, with comments between its lines.
CHOICES = {
    "title": "Physics",
    "domain": "phys.example.edu",
    "contact": "ada@example.edu",
    "cloud": "local",
    "size": "s-4vcpu-8gb",
    "timezone": "Etc/UTC",
    "limits": {"memory": "1G", "cpu": 1.0},
    "packages": ["numpy"],
    "people": {"professors": [{"account": "ada", "name": "Ada"}], "students": []},
}
TYPOS = {
    "equals": lambda line: line.replace(": ", " = ", 1),
    "no space": lambda line: line.replace(": ", ":", 1),
    "tab": lambda line: "\t" + line.lstrip(),
    "one space more": lambda line: " " + line,
    "one space less": lambda line: line.removeprefix(" "),
    "odd space": lambda line: line.replace(": ", ":\u00a0", 1),
    "open quote": lambda line: line.replace(": ", ': "', 1),
    "open bracket": lambda line: line.replace(": ", ": [", 1),
    "at": lambda line: line.replace(": ", ": @", 1),
    "colon": lambda line: line + ": x",
    "nonsense": lambda line: line.replace(":", "", 1),
}


@pytest.mark.parametrize("typo", TYPOS)
def test_mistake_in_each_line_of_a_new_file_has_its_line(typo: str) -> None:
    """YAML often reports the line below the comments that follow the mistake.

    If the first key of a block is indented wrongly, the next key is told, with the line of the first.
    """
    lines = compose("x", CHOICES).splitlines()
    missed = {}
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith(("#", "-")) or ": " not in line:
            continue
        text = "\n".join([*lines[: number - 1], TYPOS[typo](line), *lines[number:]])
        with pytest.raises(CoursehubError) as caught:
            Source(Path("x"), "x.sls", text)
        said = str(caught.value)
        if (
            not said.startswith(f"x.sls:{number}: ")
            and f" line {number} has " not in said
            and f"(line {number} has " not in said
        ):
            missed[line] = (number, said)
    assert missed == {}
