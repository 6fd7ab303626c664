"""The page on which teachers look at students' work: who sees it, and what is logged."""

from __future__ import annotations

import subprocess

import pytest

from tests.support import unix_http
from tests.support.own_etc import needs_root
from tests.support.students_work import (
    PREFIX,
    Site,
    session,
    site,  # noqa: F401
)
from tests.support.visiting import CLICK

pytestmark = [pytest.mark.unit, needs_root]


def test_teachers_see_students_guests_and_teams_and_nobody_else(site: Site) -> None:
    page = site.get("")
    assert page.status_code == 200
    for there in ("of/ada/", "of/bob/", "of/eve/", "team/blue/"):
        assert f'href="{PREFIX}{there}"' in page.text
    for absent in ("of/ta/", "of/gone/", "of/outsider/", "of/hidden/", "of/root/", "team/dead/"):
        assert absent not in page.text
        assert site.get(absent).status_code == 404


def test_names_are_shown_beside_accounts(site: Site) -> None:
    """A person without a name in the file is shown by account, and a name is text, never markup."""
    page = site.get("").text
    assert '<a href="/services/students-work/of/ada/">ada</a> Ada &lt;Lovelace&gt;</li>' in page
    assert '<a href="/services/students-work/of/bob/">bob</a></li>' in page
    assert "Tess" not in page
    assert "<h1>Ada &lt;Lovelace&gt; (ada) / lab.py</h1>" in site.get("of/ada/lab.py").text


def test_hidden_entries_come_last(site: Site) -> None:
    page = site.get("of/ada/").text
    assert (
        page.index(">work/</a>")
        < page.index(">bad.ipynb</a>")
        < page.index(">umlaut.txt</a>")
        < page.index(">.hidden.txt</a>")
    )


@pytest.mark.parametrize("token", ["token-ada", "token-eve", "token-out"])
@pytest.mark.parametrize("address", ["", "of/ada/", "of/bob/", "team/blue/", "of/ada/lab.py?do=fetch"])
def test_everybody_else_sees_nothing(site: Site, token: str, address: str) -> None:
    """The hub still names the outsider, who is in none of the groups: the system's groups count."""
    before = site.openings()
    assert site.get(address, token).status_code == 403
    assert site.openings() == before


def test_who_has_not_signed_in_is_sent_to_the_hub(site: Site) -> None:
    answer = site.get("of/ada/", "no token")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/hub/api/oauth2/authorize?client_id=service-students-work&")


def test_who_is_taken_out_of_the_group_loses_the_page_at_once(site: Site) -> None:
    assert site.get("of/ada/", "token-gone").status_code == 200
    subprocess.run(
        ["nsenter", "--mount", "--target", str(site.process.pid), "gpasswd", "--delete", "gone", "assistants"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert site.get("of/ada/", "token-gone").status_code == 403


def test_each_look_is_logged_and_no_name_of_a_file_is(site: Site) -> None:
    before = len(site.openings())
    for address in (
        "",
        "of/bob/",
        "of/ada/lab.py",
        "of/ada/lab.py?do=show",
        "of/ada/lab.py?do=fetch",
        "team/blue/?do=pack",
    ):
        assert site.get(address).status_code == 200
    entries = site.openings()[before:]
    assert [(one["who"], one["whose"], one["what"]) for one in entries] == [
        ("ta", "bob", "folder listed"),
        ("ta", "ada", "file opened"),
        ("ta", "ada", "file shown"),
        ("ta", "ada", "downloaded"),
        ("ta", "groups/blue", "downloaded"),
    ]
    assert all(set(one) == {"when", "who", "whose", "what"} for one in entries)
    assert site.log.stat().st_mode & 0o777 == 0o600
    assert "lab.py" not in site.log.read_text()


def test_missing_page_is_distinguished_from_an_error(site: Site) -> None:
    """A ``KeyError`` in our own code is an error, whatever caused it."""
    odd = site.get("of/ada/?do=dance")
    assert odd.status_code == 404
    assert "There is no such page" in odd.text
    fault = site.get("of/mia/")
    assert fault.status_code == 500
    assert "This did not work; try again." in fault.text


def test_nothing_can_be_changed(site: Site) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        headers = {"Cookie": session("token-ta"), **CLICK}
        address = f"http://work{PREFIX}of/ada/lab.py"
        answer = unix_http.session(site.socket).request(method, address, headers=headers, timeout=10)
        assert answer.status_code in (403, 405)
