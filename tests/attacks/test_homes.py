"""A student goes for what others have written: homes, teams, servers' runtime directories."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import Cast
from tests.support.attackers import Person

SECRET = "what-alice-computed"


@pytest.fixture(scope="module", autouse=True)
def written(cast: Cast) -> None:
    """A file of the victim's, which she herself left open to everybody."""
    alice = cast.people["alice"]
    assert alice.shell(f"echo {SECRET} > ~/lab.txt; chmod 0666 ~/lab.txt").code == 0
    assert alice.shell(f"echo {SECRET} > ~/groups/{cast.directory('quiet').name}/plan.txt").code == 0


def test_home_of_another_is_listed(mallory: Person, alice: Person) -> None:
    """Tries: to list another student's home.

    Stopped by: homes are 0700 (formula accounts).
    """
    assert "PermissionError" in mallory.python(f"import os; print(os.listdir({alice.home!r}))")


def test_open_file_in_a_closed_home(mallory: Person, alice: Person) -> None:
    """Tries: to read and to change a file that its owner made 0666, by its full name.

    Stopped by: nobody else can pass through the home that holds it (0700).
    """
    tried = mallory.shell(f"cat {alice.home}/lab.txt; echo gone > {alice.home}/lab.txt")
    assert tried.text.count("Permission denied") == 2
    assert alice.shell("cat ~/lab.txt").text == SECRET


def test_directory_of_another_team(mallory: Person, cast: Cast) -> None:
    """Tries: to read what a team has written that the student is not in.

    Stopped by: a team's directory is 2770 and its group's alone.
    """
    tried = mallory.shell(f"ls {cast.directory('quiet')}; cat {cast.directory('quiet')}/plan.txt")
    assert tried.text.count("Permission denied") == 2
