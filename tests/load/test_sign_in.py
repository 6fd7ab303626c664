"""A class that signs in by password, and the same class through an OpenID Connect provider, each at one moment.

Run by `./coursehub test load -k provider`; COURSEHUB_STUDENTS (24). The provider runs on this computer, so its work is
in the seconds of its class.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest
import yaml
from yarl import URL

from runner.people.passwords import Passwords
from runner.rehearsal import advice, crowd
from runner.rehearsal.accounts import Person
from runner.rehearsal.student import Names, Place, Student, Trouble
from tests.load.test_class import STUDENTS, keep
from tests.support.signing_in import COLLEGE, Trial, trial

__all__ = ["trial"]
# ``own_hub`` comes first: it is the session's, and ``trial`` the file's.
pytestmark = [pytest.mark.machine, pytest.mark.timeout(2400), pytest.mark.usefixtures("own_hub")]

#: The hub's own page that takes somebody back from the provider, and the redirects of a sign-in at most.
CALLBACK, REDIRECTS = "/hub/oauth_callback", 12


class ByProvider(Student):
    """Signs in through the provider: the hub's link, the provider's form, and back with a code."""

    def __init__(self, place: Place, person: Person, provider: tuple[str, str]) -> None:
        """``provider`` is its name and address."""
        super().__init__(place, person)
        self.provider = dict([provider])

    def _line(self) -> aiohttp.TCPConnector:
        names = Names(self.place.ip, self.provider)
        return aiohttp.TCPConnector(limit_per_host=6, resolver=names, ssl=self.place.trust)

    async def _sign_in(self) -> None:
        """End where a sign-in by password ends: with the hub's redirect and cookie, before the next page."""
        status, where, page = await self._get(f"{self.place.hub}/hub/oauth_login?next=/hub/home")
        action = re.search(r'action="([^"]+)"', page.decode())
        if urlsplit(where).hostname not in self.provider or not action:
            raise Trouble(f"the hub does not lead to the provider (HTTP {status})")
        answer = await self.http.post(
            urljoin(where, action[1]), data={"person": self.person.account}, allow_redirects=False
        )
        for _ in range(REDIRECTS):
            async with answer:
                await answer.read()
                self.record.requests += 1
                if answer.status not in (302, 303):
                    break
                if answer.url.path == CALLBACK:
                    return
                onward = urljoin(str(answer.url), answer.headers["Location"])
            answer = await self.http.get(URL(onward, encoded=True), allow_redirects=False)
        raise Trouble(f"the sign-in was refused (HTTP {answer.status} at {answer.url.path})")


@pytest.fixture
def accounts(trial: Trial) -> list[str]:
    """So many students of the course, whom the provider knows by their email."""
    path = trial.hub.sandbox.project.course_file(trial.hub.course)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    students = document["course"]["people"]["students"]
    students += [{"account": f"late-{place}", "name": f"Student {place}"} for place in range(len(students), STUDENTS)]
    for one in students:
        one["email"] = f"{one['account']}@{COLLEGE}"
        trial.provider.people[one["account"]] = {"email": one["email"], "email_verified": True}
    trial.provider.write()
    path.write_text("#!yaml\n" + yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return [one["account"] for one in students[:STUDENTS]]


def test_whole_class_signs_in_through_a_provider(trial: Trial, accounts: list[str]) -> None:
    ip = str(trial.hub.document["server"]["ip"])
    place = Place(trial.hub.document["hostname"], ip, crowd.trust(trial.bundle), subdomains=True)
    provider = (trial.provider.name, trial.provider.address)

    def by_provider(place: Place, person: Person) -> Student:
        return ByProvider(place, person, provider)

    classes: dict[str, dict[str, Any]] = {}
    for kind, makes in (("password", Student), ("oidc", by_provider)):
        assert trial.switch(kind)["failed"] == 0
        trial.hub.run("systemctl stop 'jupyter-*.service'")
        known = Passwords(trial.hub.sandbox.project, trial.hub.course).read()
        people = [Person(one, known[one].clear) for one in accounts]
        done = crowd.perform(place, people, 0.0, trial.hub.run, lambda _: None, prefix="", kind=makes)
        classes[kind] = done
        print("\n".join([f"\n{kind}: {keep(kind, done)}", *advice.lines(done)]))
    for done in classes.values():
        assert done["failures"] == {}
        assert done["served"] == STUDENTS
    by = {kind: done["steps"]["sign in"] for kind, done in classes.items()}
    hubs = {kind: done["usage"]["parts"]["hub"]["cpu"] for kind, done in classes.items()}
    print(
        f"\nseconds of the sign-in, half and the slowest of {STUDENTS}: by password {by['password']['p50']:.1f} and "
        f"{by['password']['max']:.1f}, through the provider {by['oidc']['p50']:.1f} and {by['oidc']['max']:.1f}; "
        f"CPU-s of the hub in all: {hubs['password']:.1f} and {hubs['oidc']:.1f}"
    )
