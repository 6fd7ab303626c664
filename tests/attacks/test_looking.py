"""Traps in a student's home, and requests of a teacher, through "Students' work"."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.attacks.conftest import Cast
from tests.support.attackers import Outside, Person, statuses
from tests.support.hub import Hub
from tests.support.visiting import CLICK

PAGE = "/services/students-work/"
TRAP = "~/attack-trap"
HERS = "what-alice-wrote"


@pytest.fixture(scope="module")
def trap(cast: Cast) -> Iterator[str]:
    """The page of a folder in the attacker's home in which each entry is a trap."""
    mallory, alice = cast.people["mallory"], cast.people["alice"]
    alice.shell(f"echo {HERS} > ~/hers.txt")
    made = mallory.shell(f"""
        set -e
        rm -rf {TRAP}; mkdir {TRAP}; cd {TRAP}
        ln -s /etc/shadow shadow; ln -s /etc/passwd passwd; ln -s {alice.home}/hers.txt hers; ln -s / everything
        ln -s /proc/self/environ environ; ln -s ../attack-trap loop
        mkfifo pipe
        echo '<script>document.title = 1</script>' > page.html
        echo '<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>' > picture.svg
        touch -- '-rf' $'two\\nlines' 'a"; b.txt'
        mkdir packed; cd packed
        python3 -c 'import os; os.mkdir("..\\\\..\\\\evil"); open("..\\\\..\\\\evil/x", "w")'
        touch -- "C:x" plain; ln -s /etc/passwd link; ln -s {alice.home} folder; mkfifo pipe
        cd ..
        truncate -s 8E huge 2> /dev/null || truncate -s 1T huge
        echo ok > plain.txt
    """)
    assert made.code == 0, made.text
    yield f"{PAGE}of/{mallory.account}/attack-trap/"
    mallory.shell(f"rm -rf {TRAP}")


def look(person: Person, address: str, **options: Any) -> requests.Response:
    return person.client.get(address, headers=CLICK, timeout=60, **options)


@pytest.mark.parametrize("name", ["shadow", "passwd", "hers", "environ"])
def test_links_out_of_a_home(assistant: Person, trap: str, name: str) -> None:
    """Tries: to let a teacher's view follow a link to a file of the server, of another student or of the reader.

    Stopped by: the reader follows no link, and has only its student's rights.
    """
    for do in ("look", "show", "render", "fetch"):
        answer = look(assistant, f"{trap}{name}?do={do}")
        assert answer.status_code == 404, (do, answer.status_code)
        assert not any(secret in answer.text for secret in ("root:", HERS, "LC_ALL"))


def test_links_to_folders(assistant: Person, trap: str) -> None:
    """Tries: to let a view follow a link to a folder: the whole server, or a loop.

    Stopped by: no part of a path may be a link.
    """
    for path in ("everything/", "everything/etc/passwd?do=show", "loop/loop/loop/plain.txt?do=show"):
        assert look(assistant, trap + path).status_code == 404, path


def test_an_archive_leads_out_of_its_folder(assistant: Person, trap: str) -> None:
    """Tries: to make a folder whose archive writes elsewhere on a teacher's computer (zip slip), or contains links.

    Stopped by: the packer takes only regular files and writes plain relative names.
    """
    answer = look(assistant, f"{trap}packed/?do=pack")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        for entry in archive.infolist():
            parts = entry.filename.replace("\\", "/").split("/")
            assert ".." not in parts and not entry.filename.startswith(("/", "\\")), entry.filename
            assert ":" not in entry.filename, entry.filename
            assert entry.external_attr >> 28 != 0o12, f"{entry.filename} is a link"
        assert sorted(archive.namelist()) == [".._.._evil/x", "C_x", "LEFT-OUT.txt", "plain"]
        assert sorted(archive.read("LEFT-OUT.txt").decode().splitlines()[1:]) == ["folder", "link", "pipe"]


def test_a_pipe_stops_the_page(assistant: Person, trap: str) -> None:
    """Tries: to block the page with a FIFO that nobody writes to, and to fill its memory with a file of a terabyte.

    Stopped by: only regular files are opened; what is shown has a limit.
    """
    for name in ("pipe", "huge"):
        answer = look(assistant, f"{trap}{name}?do=show")
        assert answer.status_code == 404, name
    assert look(assistant, f"{trap}plain.txt?do=show").text == "ok\n"


def test_a_page_of_a_students_acts_as_the_teacher(assistant: Person, trap: str) -> None:
    """Tries: to let a script in a student's file run in the teacher's browser, with the hub's origin.

    Stopped by: content has a policy that runs nothing and removes the origin, and is never HTML.
    """
    for name in ("page.html", "picture.svg"):
        answer = look(assistant, f"{trap}{name}?do=show")
        assert answer.status_code == 200, name
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox; default-src 'none'; ") and "allow-" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    "path",
    [
        "of/{who}/../../../../etc/passwd",
        "of/{who}/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "of/{who}/..%2f..%2f..%2fetc%2fpasswd",
        "of/{who}/%252e%252e/%252e%252e/etc/passwd",
        "of/{who}//etc/passwd",
        "of/{who}/%2fetc%2fpasswd",
        "of/{who}/plain%00.txt",
        "of/root/.profile",
        "of/../root/",
        "team/../../../etc/passwd",
        "team/pair/../../../../etc/passwd",
        "of/{who}%2f..%2froot/",
    ],
)
def test_path_tricks(assistant: Person, mallory: Person, outside: Outside, path: str) -> None:
    """Tries: to leave a student's home with special path segments, sent without a browser's normalisation.

    Stopped by: names below a home are opened one by one, and ".." and "/" are not names.
    """
    cookies = assistant.client.http.cookies.get_dict()
    asked = PAGE + path.format(who=mallory.account)
    request = f"GET {asked}?do=show HTTP/1.1\r\nHost: {outside.name}\r\nConnection: close\r\n"
    request += "".join(f"{name}: {value}\r\n" for name, value in CLICK.items())
    request += f"Cookie: {'; '.join(f'{name}={value}' for name, value in cookies.items())}\r\n\r\n"
    answer = outside.send(request.encode())
    assert statuses(answer)[0] in (302, 400, 403, 404), answer[:200]
    assert b"root:x:0:0" not in answer


def test_a_teacher_looks_at_a_teacher(assistant: Person, professor: Person) -> None:
    """Tries: as an assistant, to open the professor's home, one's own and that of the account that checks the hub.

    Stopped by: only homes of students and guests are shown.
    """
    for account in (professor.account, assistant.account, "coursehub-check", "root", "www-data"):
        assert look(assistant, f"{PAGE}of/{account}/").status_code == 404, account


def test_a_script_reads_students_work(assistant: Person, mallory: Person) -> None:
    """Tries: to read the page with a script in a teacher's browser, with fetch() and as a frame of another page.

    Stopped by: it answers only navigation of the top window (Fetch Metadata), and cannot be framed.
    """
    address = f"{PAGE}of/{mallory.account}/"
    assert look(assistant, address).status_code == 200
    for mode in ("cors", "no-cors", "same-origin", "websocket", None):
        headers = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Site": "same-origin"} if mode else {}
        answer = assistant.client.get(address, headers=headers, allow_redirects=False)
        assert answer.status_code == 403, (mode, answer.headers.get("Location"))
    shown = look(assistant, address)
    assert shown.status_code == 200
    assert "frame-ancestors 'none'" in shown.headers["Content-Security-Policy"]


def test_another_site_opens_somebodys_work(assistant: Person, mallory: Person) -> None:
    """Tries: to let a teacher who follows a link from elsewhere open a student's work, which is logged as their own.

    Stopped by: a click from another site ends at the list.
    """
    for site in ("cross-site", "same-site"):
        answer = assistant.client.get(
            f"{PAGE}of/{mallory.account}/", headers={**CLICK, "Sec-Fetch-Site": site}, allow_redirects=False
        )
        assert answer.status_code in (302, 403), site


def test_the_log_of_looks_is_forged(assistant: Person, mallory: Person, hub: Hub, trap: str) -> None:
    """Tries: to write false lines into the log of views: with line breaks in names, in its file, in the journal.

    Stopped by: each line is JSON without file names, and the file and its directory are root's.
    """
    log = "/var/log/coursehub/openings.log"
    assert look(assistant, f"{trap}two%0Alines?do=show").status_code in (200, 404)
    tried = mallory.shell(f"echo '{{}}' >> {log}; ls /var/log/coursehub; logger -t jupyterhub-work forged; true")
    assert tried.text.count("Permission denied") == 3, tried.text
    lines = hub.run(f"tail -n 20 {log}").splitlines()
    assert all({"who", "whose", "what"} <= set(json.loads(line)) for line in lines)
    shown = hub.sandbox.json("logs", hub.course, "--openings", "-n", "50")
    assert "forged" not in json.dumps(shown)


def test_looks_that_are_not_logged(assistant: Person, mallory: Person, hub: Hub, trap: str) -> None:
    """Tries: as an assistant, to view without being logged: HEAD, a second Range request, other spellings of the
    address.

    Stopped by: what cannot be logged is not shown, and only GET is answered.
    """
    count = f"grep -c '\"{mallory.account}\"' /var/log/coursehub/openings.log || true"
    before = int(hub.run(count))
    answers = [
        assistant.client._request(method, f"{trap}plain.txt?do=show", headers=CLICK, allow_redirects=False)
        for method in ("HEAD", "POST", "PUT", "OPTIONS")
    ]
    assert all(answer.status_code in (403, 404, 405) for answer in answers), [one.status_code for one in answers]
    assert look(assistant, f"{trap}plain.txt?do=show").text == "ok\n"
    assert int(hub.run(count)) == before + 1


def test_an_assistant_takes_more_than_the_role(assistant: Person, mallory: Person, professor: Person) -> None:
    """Tries: as an assistant, to stop a student's server, to make tokens for others and to open the professor's server.

    Stopped by: the assistant's role has none of these scopes.
    """
    client = assistant.serve()
    client.get("/hub/home")
    headers = {"X-XSRFToken": client._xsrf("/hub/"), "Referer": f"{client.base}/hub/home"}
    mallory.serve()
    for method, path in (
        ("DELETE", f"/hub/api/users/{mallory.account}/server"),
        ("POST", f"/hub/api/users/{mallory.account}/tokens"),
        ("PATCH", f"/hub/api/users/{assistant.account}"),
        ("POST", "/hub/api/shutdown"),
        ("GET", "/hub/api/proxy"),
    ):
        answer = client._request(method, path, headers=headers, json={"admin": True} if method == "PATCH" else {})
        assert answer.status_code in (403, 404), (method, path, answer.status_code)
    professor.serve()
    answer = client.get(f"/user/{professor.account}/lab")
    assert answer.status_code in (403, 404)
