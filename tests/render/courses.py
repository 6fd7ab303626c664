"""Made-up courses with unusual choices, and what the runner adds to a course's pillar."""

from __future__ import annotations

from typing import Any

import yaml

from runner.course import Person
from runner.people import ClassList
from runner.people.passwords import Password
from runner.saltssh.pillar import runtime as runner_runtime
from tests.render.rendering import ROOT

# Must not appear in a rendered file that others may read, or in a state's changes.
SECRET = "$y$j9T$SECRETSECRETSECRET$canary"

PEM = "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"


def _course(**facts: Any) -> dict[str, Any]:
    return {
        "title": "A course",
        "domain": "course.example.org",
        "contact": "professor@example.org",
        "people": {"professors": [{"account": "prof", "name": "Pat Professor"}]},
        **facts,
    }


MADE_UP: dict[str, dict[str, Any]] = {
    "made-unicode": _course(
        title="Ingénierie & “計算機” — #101: <b>Öl</b> 'n' $PATH }} %}",
        people={
            "professors": [{"account": "zoe", "name": "Zoë D'Arcy-O'Neill"}],
            "assistants": [{"account": "xiao", "name": "蕭 小明"}],
            "students": [{"account": "jose", "name": 'José "Pepe" Núñez: \\n'}, {"account": "no", "name": "No: null"}],
        },
    ),
    "made-crowd": _course(
        people={
            "professors": [{"account": "prof", "name": "Pat Professor"}],
            "students": [{"account": f"s{number:03}", "name": f"Student {number}"} for number in range(300)],
        },
    ),
    "made-one": _course(
        people={"professors": [{"account": "prof", "name": "P"}], "students": [{"account": "s", "name": "S"}]}
    ),
    # Every key, from the example that the reference page mentions.
    "made-example": yaml.safe_load((ROOT / "pillar/courses/pillar.example").read_text(encoding="utf-8"))["course"],
    # A course with material; its private repository's key is a secret of the course.
    "made-material": _course(
        material={
            "repositories": [
                {"name": "labs", "url": "https://git.example.org/labs", "open": "a b.ipynb"},
                {"name": "projects", "url": "git@github.com:x/projects.git", "branch": "spring"},
                {
                    "name": "own",
                    "url": "ssh://git@git.example.org:2222/own.git",
                    "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJY0hfTg0wlA3oxSvWLBd6aNTPOTYJVzfmj9Zsi0Yl5T",
                },
            ],
            "data": [
                {"name": "heights.csv", "source": "heights.csv"},
                {"name": "rainfall", "source": "https://data.example.org/r.zip", "sha256": "0" * 64, "unpack": True},
            ],
        },
    ),
    "made-together": _course(isolation="paths"),
    "made-elsewhere": _course(dns="manual"),
    "made-bare": _course(www=False, people={"professors": [{"account": "prof", "name": "P"}]}),
    "made-all": _course(
        www=True,
        timezone="Pacific/Auckland",
        packages=["numpy", "pandas>=2"],
        imports=["numpy", "pandas"],
        limits={"memory": "512M", "cpu": 0.5, "tasks": 64},
        upload_limit="2G",
        idle_after=5,
        people={
            "professors": [{"account": "prof", "name": "P"}],
            "assistants": [{"account": "ta", "name": "T"}],
            "students": [{"account": "s", "name": "S"}],
        },
    ),
}


#: A course without people in its own file: they are in its encrypted class list.
LISTED = "made-listed"
CLASS_LIST = ClassList(
    professors=[Person(account="prof", name="Pat Professor", email="pat@example.org")],
    students=[
        Person(account="s", name="Núñez: #1", number="20067930"),
        Person(account="t", name="T", groups=["team-1"]),
    ],
    guests=[Person(account="visitor", name="V", login="vlogin77")],
    left=[Person(account="gone", name="Gone")],
)
MADE_UP[LISTED] = {key: value for key, value in _course().items() if key != "people"}


def runtime(course: dict[str, Any]) -> dict[str, Any]:
    """What `coursehub up` writes for this course, made with the runner's own code."""
    people = course.get("people") or {"listed": [{"account": one.account} for _, one in CLASS_LIST.present()]}
    accounts = [person["account"] for group in people.values() for person in group]
    hidden = {account: Password(clear=account, hash=SECRET) for account in accounts}
    return runner_runtime(
        addresses=["192.0.2.10"],
        acme_directory="https://ca.example.org/dir",
        extra_ca={"college": PEM},
        passwords=hidden,
    )
