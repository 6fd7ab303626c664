"""Which size of a server a class needs, before there is a server."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from runner.cloud import Size
from runner.rehearsal import advice
from tests.support.local_api import Api
from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit


def test_usual_need_is_what_the_hub_counts_with() -> None:
    defaults = yaml.safe_load((REPO / "formulas/jupyterhub/defaults.yaml").read_text(encoding="utf-8"))
    assert defaults["jupyterhub"]["spawner"]["start_memory"] == advice.USUAL.megabytes


@pytest.mark.parametrize(("memory", "people"), [(512, 0), (2048, 9), (8192, 46), (16384, 92)])
def test_size_holds_what_its_memory_is_enough_for(memory: int, people: int) -> None:
    """The class gets 85 %, and the system at least 600 MB."""
    assert advice.holds(Size("x", 1.0, 0.1, ("sfo3",), memory, 2), advice.USUAL) == people


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(("students", "size"), [(20, "s-2vcpu-4gb"), (40, "s-4vcpu-8gb"), (60, "s-8vcpu-16gb")])
def test_size_is_the_cheapest_for_the_class(coursehub: Any, students: int, size: str) -> None:
    ended = coursehub("size", "phys", "--students", str(students))
    assert ended.code == 0, ended.err
    assert f"{students} people at once: {size} is the cheapest size, " in ended.out
    assert "It has memory for" in ended.out
    assert "phys has s-4vcpu-8gb, with memory for 46." in ended.out


def test_size_counts_the_people_of_the_course(coursehub: Any, api: Api) -> None:
    del api
    found = coursehub("size", "phys", "--json").document
    assert found["students"] == 26
    assert found["advice"] == "s-4vcpu-8gb"


@pytest.mark.usefixtures("api")
def test_size_without_a_big_enough_one_says_so(coursehub: Any) -> None:
    ended = coursehub("size", "phys", "--students", "500")
    assert ended.code == 1
    assert "no size in sfo3 is big enough for 500 at once" in ended.err
    assert "phys.sls" in ended.err
