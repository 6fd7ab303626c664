"""The page "Students' work": traps that a student can leave for the teacher who looks."""

from __future__ import annotations

import socket

import pytest

from tests.support.own_etc import needs_root
from tests.support.students_work import (
    PREFIX,
    Site,
    session,
    site,  # noqa: F401
)
from tests.support.visiting import CLICK

pytestmark = [pytest.mark.unit, needs_root]


def test_names_are_words_and_no_html(site: Site) -> None:
    page = site.get("of/ada/").text
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.txt" in page
    assert "\u202e" not in page
    assert "line\nbreak" not in page
    odd = site.get("of/ada/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.txt")
    assert odd.status_code == 200
    assert "<img" not in odd.text
    assert site.get("of/ada/line%0Abreak%20%E2%80%AEtxt.exe?do=fetch").content == b"x"


def test_names_that_are_no_utf8_open_too(site: Site) -> None:
    assert "caf%E9.txt" in site.get("of/ada/").text
    assert site.get("of/ada/caf%E9.txt").status_code == 200
    assert site.get("of/ada/caf%E9.txt?do=show").text == "latin"


LINK = "a link to another place; it is not followed"
TAKEN = "removed the right to read it"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        *((address, LINK) for address in ("passwd", "passwd?do=show", "passwd?do=fetch", "everything/", "bob/")),
        *((address, LINK) for address in ("everything/etc/passwd?do=show", "inner?do=show", "work/shadow?do=fetch")),
        *((f"pipe{how}", "no file (a pipe") for how in ("", "?do=show", "?do=fetch")),
        *((address, TAKEN) for address in ("closed.txt?do=show", "shut/", "of-root?do=fetch", "of-group?do=fetch")),
        *((address, "not exist") for address in ("nowhere", "lab.py/inner")),
        *((address, "no such file") for address in ("../bob/", "..%2f..%2fetc/passwd?do=show", "%2e%2e/etc/", "a%00b")),
        ("sparse.bin?do=fetch", "a download has at most"),
        ("big/?do=pack", "more than"),
        ("many/?do=show", "a folder"),
        ("data.bin?do=show", "cannot be shown"),
        ("bad.ipynb?do=render", "cannot be shown"),
    ],
)
def test_a_trap_is_one_line(site: Site, address: str, says: str) -> None:
    """Whatever is requested: no link is followed, and root's or a team's rights are not available."""
    # requests would normalise the address.
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(60)
        raw.connect(site.socket)
        asked = [
            f"GET {PREFIX}of/ada/{address} HTTP/1.1",
            "Host: x",
            "Connection: close",
            f"Cookie: {session('token-ta')}",
        ]
        raw.sendall("\r\n".join([*asked, *(f"{name}: {value}" for name, value in CLICK.items()), "", ""]).encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.1 404 "), answer[:200]
    assert says in answer
    assert "root:" not in answer
    assert "Content-Disposition" not in answer


def test_a_folder_without_end_is_listed_so_far(site: Site) -> None:
    page = site.get("of/ada/many/").text
    assert "There is more here than is listed" in page
    assert page.count("<tr>") == 2001


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("page.html", "text/plain; charset=utf-8"),
        ("drawing.svg", "text/plain; charset=utf-8"),
        ("lab.py", "text/plain; charset=utf-8"),
        ("umlaut.txt", "text/plain; charset=windows-1252"),
        ("plot.png", "image/png"),
    ],
)
def test_content_runs_nothing_and_has_no_origin(site: Site, name: str, media: str) -> None:
    page = site.get(f"of/ada/{name}")
    assert f'<iframe src="{PREFIX}of/ada/{name}?do=show" sandbox ' in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "script-src" not in policy
    content = site.get(f"of/ada/{name}?do=show")
    assert content.headers["Content-Type"] == media
    policy = content.headers["Content-Security-Policy"].split("; ")
    assert policy[:2] == ["sandbox", "default-src 'none'"]
    for answer in (page, content, site.get(f"of/ada/{name}?do=fetch")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("mode", ["cors", "no-cors", "same-origin", "websocket", None])
def test_no_script_reads_a_page_in_a_teachers_name(site: Site, mode: str | None) -> None:
    """A page of a student's has the hub's origin, so cookies alone would allow it."""
    before = site.openings()
    for address in ("", "of/bob/", "of/ada/lab.py?do=show"):
        assert site.get(address, headers={"Sec-Fetch-Mode": mode}).status_code == 403
    assert site.openings() == before


def test_no_page_is_open_to_the_page_that_opened_it(site: Site) -> None:
    """Content has no origin, which protects it already, and would not be displayed with this header."""
    header = "Cross-Origin-Opener-Policy"
    for address in ("", "of/ada/", "of/ada/lab.py", "of/nobody/", "of/ada/pipe?do=show"):
        assert site.get(address).headers[header] == "same-origin", address
    assert header not in site.get("of/ada/lab.py?do=show").headers


@pytest.mark.parametrize("dest", ["iframe", "object", "embed", "empty"])
def test_no_page_is_shown_within_another(site: Site, dest: str) -> None:
    """Only content is, within our page."""
    before = site.openings()
    for address in ("", "of/ada/", "of/ada/lab.py?do=fetch", "of/ada/?do=pack"):
        assert site.get(address, headers={"Sec-Fetch-Dest": dest}).status_code == 403
    assert site.openings() == before
    shown = site.get("of/ada/lab.py?do=show", headers={"Sec-Fetch-Dest": dest, "Sec-Fetch-User": None})
    assert shown.status_code == (200 if dest == "iframe" else 403)


@pytest.mark.parametrize("other", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-User": None}])
def test_what_nobody_clicked_opens_the_list_alone(site: Site, other: dict[str, str | None]) -> None:
    """A link on another site, or a script that changes the address."""
    before = site.openings()
    assert site.get("", headers=other).status_code == 200
    for address in ("of/ada/", "of/ada/lab.py?do=fetch", "of/ada/?do=pack"):
        answer = site.get(address, headers=other)
        assert (answer.status_code, answer.headers["Location"]) == (302, PREFIX)
    assert site.openings() == before


def test_no_token_opens_the_page(site: Site) -> None:
    """Whatever headers it comes with: a program can send any."""
    before = site.openings()
    for address in ("", "of/ada/"):
        assert site.get(address, headers={"Authorization": "token token-ta"}).status_code == 403
    assert site.get("of/ada/?token=token-ta", "no session").status_code == 302
    assert site.openings() == before
