"""Two computers and one course: the second learns who is at work, and a dead runner's claim ends."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runner.cloud import Cloud
from runner.cloud.claims import STALE, Claim
from tests.support.local_api import TOKEN, Api

pytestmark = pytest.mark.unit


@pytest.fixture
def cloud(api: Api) -> Cloud:
    return Cloud("DigitalOcean", f"{api.url}/v2/", TOKEN)


def claim(age: float = 0.0, place: str = "elsewhere") -> Claim:
    return Claim(int(time.time() - age), place, "apply", "curie-laptop")


def tags(api: Api) -> list[str]:
    return [tag["name"] for tag in api.ok("GET", "tags?per_page=200")["tags"]]


@pytest.mark.parametrize("verb", [("up", "--yes"), ("apply",), ("down", "--yes")])
def test_a_course_at_work_elsewhere_is_refused(coursehub: Any, api: Api, cloud: Cloud, verb: tuple[str, ...]) -> None:
    coursehub("up", "phys", "--yes")
    theirs = claim(age=300)
    assert cloud.claims.take("phys", theirs) is None
    ended = coursehub(*verb, "phys")
    assert ended.code == 1
    since = time.strftime("%H:%M", time.localtime(theirs.since))
    assert f"phys: curie-laptop (user and computer) runs 'apply' on it since {since}" in ended.line
    assert [tag for tag in tags(api) if "claim" in tag] == [theirs.tag("phys")]
    assert len(api.ok("GET", "droplets")["droplets"]) == 1
    cloud.claims.drop("phys", theirs)
    assert coursehub("down", "phys", "--yes").code == 0
    assert tags(api) == []


def test_a_dead_runners_claim_ends(coursehub: Any, api: Api, cloud: Cloud) -> None:
    cloud.claims.take("phys", claim(age=STALE + 60))
    assert "SSH on" in coursehub("up", "phys", "--yes").line
    assert not [tag for tag in tags(api) if "claim" in tag]


def test_the_same_working_copy_takes_its_claim_again(api: Api, cloud: Cloud) -> None:
    """It was killed, and its computer's lock ended with it."""
    dead, ours = claim(age=60, place="here"), claim(place="here")
    assert cloud.claims.take("phys", dead) is None
    assert cloud.claims.take("phys", ours) is None
    assert tags(api) == [ours.tag("phys")]


def test_claims_of_courses_do_not_meet(api: Api, cloud: Cloud) -> None:
    del api
    theirs = claim()
    assert cloud.claims.take("phys", theirs) is None
    assert cloud.claims.take("phys-2", claim(place="here")) is None
    assert cloud.claims.take("phys", claim(place="here")) == theirs


def test_a_plan_claims_nothing(coursehub: Any, api: Api, cloud: Cloud) -> None:
    cloud.claims.take("phys", claim())
    assert coursehub("plan", "phys").code == 0
    assert len(tags(api)) == 1
