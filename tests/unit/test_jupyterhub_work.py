"""The page on which teachers look into students' work: the real service and its real readers, on homes full of traps.

It runs as its unit does (root with three capabilities), in a mount namespace with accounts and homes of the test's own;
the hub that it asks who is there is a stand-in.
"""

from __future__ import annotations

import contextlib
import grp
import io
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from tornado.web import create_signed_value

from tests.support import unix_http
from tests.support.root import eventually
from tests.support.serving import in_background
from tests.support.visiting import CLICK
from tests.unit.test_accounts_state import needs_root
from tests.unit.test_jupyterhub_config import DEFAULTS, FILES

pytestmark = [pytest.mark.unit, needs_root]
PREFIX = "/services/students-work/"
COOKIE = "service-students-work"
SCOPE = "access:services!service=students-work"
#: Token: account. `gone` keeps the hub's word for a while after the system took the group away.
PEOPLE = {"token-ta": "ta", "token-gone": "gone", "token-ada": "ada", "token-eve": "eve", "token-out": "outsider"}

SETUP = """
set -e
scratch=$1; shift
mount --make-rprivate /
cp -a /etc "$scratch/etc"
mount --bind "$scratch/etc" /etc
mount --bind "$scratch/home" /home
mount -t tmpfs tmpfs /var/log
mkdir -m 0700 /var/log/coursehub
mount --bind "$scratch/log" /var/log/coursehub
for group in students guests assistants team-blue team-dead; do groupadd $group; done
useradd -m -G students,team-blue ada
useradd -m -G students bob
useradd -m -G students hidden
useradd -m -G guests eve
useradd -m -G guests mia
useradd -m -G assistants ta
useradd -m -G assistants gone
useradd -m outsider
chmod 0700 /home/*
mkdir -p "$scratch/groups/blue"
chown root:team-blue "$scratch/groups/blue"; chmod 2770 "$scratch/groups/blue"; chmod 0755 "$scratch" "$scratch/groups"
runuser -u ada -- sh -c 'umask 0007; echo together > "$1/groups/blue/plan.txt"' sh "$scratch"
echo "only root" > /home/ada/of-root; chmod 0600 /home/ada/of-root
echo "of a group" > /home/ada/of-group; chown root:team-blue /home/ada/of-group; chmod 0040 /home/ada/of-group
runuser -u ada -- python3 -c "$HOMES"
touch "$scratch/ready"
exec setpriv --bounding-set -all,+setuid,+setgid,+kill --inh-caps -all --no-new-privs "$@"
"""

#: Made as the student, whatever a student may do.
HOMES = r"""
import os
os.chdir("/home/ada")
def write(name, content=b"x"):
    with open(name, "wb") as file:
        file.write(content)
write("lab.py", b"print('<b>mine</b>')\n")
write("umlaut.txt", "Größe".encode("cp1252"))
write("page.html", b"<script>alert(1)</script>")
write("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
write("plot.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
write("data.bin", bytes(range(256)) * 4)
write("bad.ipynb", b"{")
write("<img src=x onerror=alert(1)>.txt")
write(b"caf\xe9.txt", b"latin")
write("line\nbreak \u202etxt.exe")
write(".hidden.txt")
write("closed.txt"); os.chmod("closed.txt", 0)
os.symlink("/etc/passwd", "passwd"); os.symlink("/", "everything"); os.symlink("/home/bob", "bob")
os.symlink("lab.py", "inner")
os.mkfifo("pipe")
os.mkdir("many"); [write(f"many/{n:05}", b"") for n in range(2500)]
os.mkdir("work"); os.mkdir("work/deep"); write("work/deep/answer.txt", b"42"); write("work/..\\..\\evil.txt")
os.symlink("/etc/shadow", "work/shadow"); os.mkfifo("work/pipe"); write("work/closed"); os.chmod("work/closed", 0)
write("work/old"); os.utime("work/old", (0, 0))
os.mkdir("shut"); os.chmod("shut", 0)
write("sparse.bin"); os.truncate("sparse.bin", 1 << 41)
os.mkdir("big"); write("big/sparse.bin"); os.truncate("big/sparse.bin", 1 << 41)
write("long.bin"); os.truncate("long.bin", 300_000_000)
"""


#: As ``python -m class_work.service``, but it waits for nobody long, and cannot log a look at Mia's work.
SERVE = """
import asyncio, sys
from class_work import pages, reading, service
reading.SILENCE, reading.TURN, service.COOKIE_SECRET = 8, 2, b"of the tests"
record = pages.record
def broken_for_mia(who, whose, what):
    if whose == "mia":
        raise KeyError(what)
    record(who, whose, what)
pages.record = broken_for_mia
asyncio.run(service.main(sys.argv[1]))
"""


def session(token: str) -> str:
    """The cookie that a person's browser has after the hub said who it is."""
    signed = create_signed_value(b"of the tests", COOKIE, token).decode()
    return f"{COOKIE}={signed}"


@dataclass
class Site:
    """The running service."""

    socket: str
    log: Path
    process: subprocess.Popen[bytes]

    def get(self, address: str, token: str = "token-ta", **options: Any) -> requests.Response:
        headers = {"Cookie": session(token), **CLICK, **options.pop("headers", {})}
        return unix_http.session(self.socket).get(
            f"http://work{PREFIX}{address}",
            headers=headers,
            timeout=60,
            allow_redirects=False,
            **options,
        )

    def openings(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


class Hub(BaseHTTPRequestHandler):
    """Says whose token it is, as the hub does, and that students may not look."""

    def do_GET(self) -> None:
        account = PEOPLE.get(self.headers.get("Authorization", "").removeprefix("token "))
        scopes = [] if account in ("ada", "eve") else [SCOPE]
        self.send_response(200 if account else 403)
        self.end_headers()
        if account:
            self.wfile.write(json.dumps({"name": account, "kind": "user", "groups": [], "scopes": scopes}).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(hub_python: str) -> Iterator[Site]:
    # pytest's own directories are root's alone; students' readers stand in this one.
    scratch = Path(tempfile.mkdtemp(prefix="coursehub-work-"))
    scratch.chmod(0o755)
    for name in ("home", "log", "lib", "groups"):
        (scratch / name).mkdir()
    (scratch / "lib" / "class_work").symlink_to(FILES / "class_work")
    hub = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    in_background(hub)
    settings = {
        **DEFAULTS["work"],
        "socket": str(scratch / "work.sock"),
        "base_url": "/",
        "hub_api": f"http://127.0.0.1:{hub.server_port}/hub/api",
        "service": "students-work",
        "hidden": ["hidden"],
        "team_prefix": "team-",
        "teams": str(scratch / "groups"),
        # Without nbconvert: notebooks as pages are the machine test's matter.
        "python": "/usr/bin/python3",
    }
    (scratch / "work.json").write_text(json.dumps(settings))
    argv = ["unshare", "--mount", "sh", "-c", SETUP, "sh", str(scratch), hub_python, "-B", "-c", SERVE]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(scratch / "lib"), "STUDENTS_WORK_TOKEN": "its-own"}
    process = subprocess.Popen([*argv, str(scratch / "work.json")], env={**environment, "HOMES": HOMES})
    made = Site(settings["socket"], scratch / "log" / "openings.log", process)
    try:
        eventually(lambda: (scratch / "ready").exists() or process.poll() is not None, 60)
        eventually(lambda: answers(made) or process.poll() is not None, 90)
        assert process.poll() is None
        yield made
    finally:
        process.kill()
        process.wait(timeout=10)
        hub.shutdown()
        shutil.rmtree(scratch)


def answers(site: Site) -> bool:
    with contextlib.suppress(requests.RequestException):
        return site.get("").status_code > 0
    return False


def test_teachers_see_students_guests_and_teams_and_nobody_else(site: Site) -> None:
    page = site.get("")
    assert page.status_code == 200
    for there in ("of/ada/", "of/bob/", "of/eve/", "team/blue/"):
        assert f'href="{PREFIX}{there}"' in page.text
    for absent in ("of/ta/", "of/gone/", "of/outsider/", "of/hidden/", "of/root/", "team/dead/"):
        assert absent not in page.text
        assert site.get(absent).status_code == 404


@pytest.mark.parametrize("token", ["token-ada", "token-eve", "token-out"])
@pytest.mark.parametrize("address", ["", "of/ada/", "of/bob/", "team/blue/", "of/ada/lab.py?do=fetch"])
def test_everybody_else_sees_nothing(site: Site, token: str, address: str) -> None:
    """The outsider has the hub's word and is in none of the groups: the system's word counts."""
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


def test_a_page_that_is_not_there_is_told_from_a_fault(site: Site) -> None:
    """A ``KeyError`` of our own is a fault, whatever it came from."""
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


# -- what a student leaves in a home ----------------------------------------------------------------------


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
TAKEN = "taken the right to read it away"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        *((address, LINK) for address in ("passwd", "passwd?do=show", "passwd?do=fetch", "everything/", "bob/")),
        *((address, LINK) for address in ("everything/etc/passwd?do=show", "inner?do=show", "work/shadow?do=fetch")),
        *((f"pipe{how}", "no file (a pipe") for how in ("", "?do=show", "?do=fetch")),
        *((address, TAKEN) for address in ("closed.txt?do=show", "shut/", "of-root?do=fetch", "of-group?do=fetch")),
        *((address, "not there") for address in ("nowhere", "lab.py/inner")),
        *((address, "no such file") for address in ("../bob/", "..%2f..%2fetc/passwd?do=show", "%2e%2e/etc/", "a%00b")),
        ("sparse.bin?do=fetch", "a download has at most"),
        ("big/?do=pack", "more than"),
        ("many/?do=show", "a folder"),
        ("data.bin?do=show", "cannot be shown"),
        ("bad.ipynb?do=render", "cannot be shown"),
    ],
)
def test_a_trap_is_one_line(site: Site, address: str, says: str) -> None:
    """Whatever is asked for: no link is followed, and neither root's rights nor a team's are there to be had."""
    # requests would tidy the address up.
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
    """A student's own page is of the hub's origin, so that cookies alone would let it."""
    before = site.openings()
    for address in ("", "of/bob/", "of/ada/lab.py?do=show"):
        assert site.get(address, headers={"Sec-Fetch-Mode": mode}).status_code == 403
    assert site.openings() == before


def test_no_page_is_open_to_the_page_that_opened_it(site: Site) -> None:
    """Content has no origin, which protects it already, and would not be shown with this."""
    header = "Cross-Origin-Opener-Policy"
    for address in ("", "of/ada/", "of/ada/lab.py", "of/nobody/", "of/ada/pipe?do=show"):
        assert site.get(address).headers[header] == "same-origin", address
    assert header not in site.get("of/ada/lab.py?do=show").headers


@pytest.mark.parametrize("dest", ["iframe", "object", "embed", "empty"])
def test_no_page_is_shown_within_another(site: Site, dest: str) -> None:
    """Content is, within ours."""
    before = site.openings()
    for address in ("", "of/ada/", "of/ada/lab.py?do=fetch", "of/ada/?do=pack"):
        assert site.get(address, headers={"Sec-Fetch-Dest": dest}).status_code == 403
    assert site.openings() == before
    shown = site.get("of/ada/lab.py?do=show", headers={"Sec-Fetch-Dest": dest, "Sec-Fetch-User": None})
    assert shown.status_code == (200 if dest == "iframe" else 403)


@pytest.mark.parametrize("other", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-User": None}])
def test_what_nobody_clicked_opens_the_list_alone(site: Site, other: dict[str, str | None]) -> None:
    """A link on another site, or a script that leads to an address."""
    before = site.openings()
    assert site.get("", headers=other).status_code == 200
    for address in ("of/ada/", "of/ada/lab.py?do=fetch", "of/ada/?do=pack"):
        answer = site.get(address, headers=other)
        assert (answer.status_code, answer.headers["Location"]) == (302, PREFIX)
    assert site.openings() == before


def test_no_token_opens_the_page(site: Site) -> None:
    """Whatever headers it comes with: a program sends which it likes."""
    before = site.openings()
    for address in ("", "of/ada/"):
        assert site.get(address, headers={"Authorization": "token token-ta"}).status_code == 403
    assert site.get("of/ada/?token=token-ta", "no session").status_code == 302
    assert site.openings() == before


# -- downloads --------------------------------------------------------------------------------------------


def test_a_file_comes_whole_under_its_name(site: Site) -> None:
    answer = site.get("of/ada/data.bin?do=fetch")
    assert answer.content == bytes(range(256)) * 4
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''data.bin"
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_a_folder_comes_as_an_archive_that_unpacks_below_itself(site: Site) -> None:
    answer = site.get("of/ada/work/?do=pack")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''work.zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [".._.._evil.txt", "LEFT-OUT.txt", "deep/answer.txt", "old"]
        assert archive.read("deep/answer.txt") == b"42"
        left_out = archive.read("LEFT-OUT.txt").decode().splitlines()[1:]
    assert sorted(left_out) == ["closed", "pipe", "shadow"]


def test_a_teams_directory_is_read_as_nobody_of_the_team(site: Site) -> None:
    assert "plan.txt" in site.get("team/blue/").text
    assert site.get("team/blue/plan.txt?do=show").text == "together\n"
    assert site.get("team/red/").status_code == 404


def readers_of(account: str, site: Site) -> list[str]:
    """Not by `pgrep --uid`: what is closed to its own account belongs to root in /proc."""
    passwd = (site.log.parents[1] / "etc/passwd").read_text().splitlines()
    uid = next(line.split(":")[2] for line in passwd if line.startswith(account))
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            reads = b"class_work/reader.py" in (process / "cmdline").read_bytes()
            if reads and f"Uid:\t{uid}\t" in (process / "status").read_text():
                found.append(process.name)
    return found


def test_a_reader_has_the_students_rights_alone_and_ends_with_the_download(site: Site) -> None:
    """Also when its student stops it, who may do so: it is their process too."""
    eventually(lambda: not readers_of("ada", site))
    with site.get("of/ada/long.bin?do=fetch", stream=True) as answer:
        assert answer.status_code == 200
        (reader,) = eventually(lambda: readers_of("ada", site))
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{reader}/status").read_text().splitlines() if ":\t" in line
        )
        assert len(set(status["Uid"].split())) == 1 and status["Uid"].split()[0] != "0"
        assert len(set(status["Gid"].split())) == 1 and status["Gid"].split()[0] != "0"
        assert status["Groups"].strip() == ""
        assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Amb")} == {0}
        assert status["NoNewPrivs"] == "1"
        assert b"its-own" not in Path(f"/proc/{reader}/environ").read_bytes()
        assert b"long.bin" not in Path(f"/proc/{reader}/cmdline").read_bytes()
        subprocess.run(["kill", "-STOP", reader], check=True)
        # All that it sent before that is taken: nobody waits for the line, only for the reader.
        answer.raw.read(1 << 20)
        time.sleep(0.5)
    eventually(lambda: not readers_of("ada", site))


def test_no_program_of_its_student_looks_into_a_reader(site: Site) -> None:
    """What a server of theirs may not do, a reader may: it would be their way out."""
    eventually(lambda: not readers_of("ada", site))
    with site.get("of/ada/long.bin?do=fetch", stream=True) as answer:
        assert answer.status_code == 200
        (reader,) = eventually(lambda: readers_of("ada", site))
        status = Path(f"/proc/{reader}/status").read_text()
        uid, gid = (re.findall(rf"^{number}:\t(\d+)", status, re.MULTILINE)[0] for number in ("Uid", "Gid"))
        for secret in ("environ", "mem", "maps"):
            as_ada = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"]
            asked = [*as_ada, "head", "-c1", f"/proc/{reader}/{secret}"]
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            assert "Permission denied" in done.stderr, secret


# Tries to look into each reader of its own account, for some seconds and until it has seen a few; prints how many it
# saw and looked into.
RACE = """
import os, time
seen, into = set(), set()
begun = time.monotonic()
while time.monotonic() < begun + 6 or (len(seen) < 3 and time.monotonic() < begun + 60):
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or int(pid) == os.getpid():
            continue
        try:
            status = open(f"/proc/{pid}/status").read()
            reads = "class_work/reader.py" in open(f"/proc/{pid}/cmdline").read()
        except OSError:
            continue
        if not reads or f"Uid:\\t{os.getuid()}\\t" not in status:
            continue
        seen.add(pid)
        for secret in ("mem", "environ"):
            try:
                os.close(os.open(f"/proc/{pid}/{secret}", os.O_RDONLY))
                into.add(pid)
            except OSError:
                pass
print(len(seen), len(into))
"""


def test_no_program_of_its_student_is_ever_quick_enough(site: Site) -> None:
    """From the first moment on: a program that starts as the student would be open until it closes itself (D4)."""
    eventually(lambda: not readers_of("ada", site))
    passwd = (site.log.parents[1] / "etc/passwd").read_text().splitlines()
    uid, gid = next(line.split(":")[2:4] for line in passwd if line.startswith("ada:"))
    as_ada = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"]
    argv = [*as_ada, "/usr/bin/python3", "-I", "-c", RACE]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as racer:
        while racer.poll() is None:
            assert site.get("of/ada/").status_code == 200
        assert racer.stdout is not None
        seen, into = map(int, racer.stdout.read().split())
    assert seen > 0, "else it shows nothing"
    assert into == 0


def test_what_a_reader_was_made_to_start_ends_with_it(hub_python: str) -> None:
    """Whether the reader still runs by then or has ended itself."""
    script = """
import asyncio, os
from class_work import reading
async def main(ending):
    reader = await asyncio.create_subprocess_exec(
        "sh", "-c", "sleep 300 >&- & echo $!; " + ending, stdout=asyncio.subprocess.PIPE, start_new_session=True)
    left = int(await reader.stdout.readline())
    if ending == "true":
        await reader.wait()
    await reading.end(reader)
    for _ in range(50):
        if not os.path.exists(f"/proc/{left}") or "Z" in open(f"/proc/{left}/stat").read().split()[2]:
            return
        await asyncio.sleep(0.1)
    os.kill(left, 9)
    raise SystemExit(f"it runs on after: {ending}")
for ending in ("true", "sleep 300"):
    asyncio.run(main(ending))
"""
    done = subprocess.run(
        [hub_python, "-B", "-c", script], env={"PATH": os.environ["PATH"], "PYTHONPATH": str(FILES)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_who_takes_nothing_holds_nobody_up(site: Site) -> None:
    eventually(lambda: not readers_of("ada", site))
    with contextlib.ExitStack() as stalled:
        for _ in range(4):
            stalled.enter_context(site.get("of/ada/long.bin?do=fetch", stream=True))
        refused = site.get("of/ada/data.bin?do=fetch")
        assert refused.status_code == 404
        assert "Others are looking or downloading; try again in a minute." in refused.text
        assert site.get("of/ada/lab.py?do=show").status_code == 200
        # The others are still connected, and no longer in the way.
        eventually(lambda: not readers_of("ada", site), 30)
        assert site.get("of/ada/data.bin?do=fetch").status_code == 200


def test_half_a_file_is_never_taken_for_the_whole(site: Site) -> None:
    eventually(lambda: not readers_of("ada", site))
    with site.get("of/ada/long.bin?do=fetch", stream=True) as answer:
        next(answer.iter_content(1 << 16))
        (reader,) = readers_of("ada", site)
        subprocess.run(["kill", "-KILL", reader], check=True)
        with pytest.raises(requests.RequestException):
            for _ in answer.iter_content(1 << 20):
                pass


def test_the_reader_refuses_to_run_as_root() -> None:
    done = subprocess.run(
        ["/usr/bin/python3", "-I", str(FILES / "class_work/reader.py"), "0", "0"],
        input="{}",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "rights that it must not have" in done.stderr
    group = grp.getgrnam("nogroup").gr_gid
    kept = ["setpriv", "--reuid", "65534", "--regid", str(group), "--groups", "0", "/usr/bin/python3", "-I"]
    done = subprocess.run(
        [*kept, str(FILES / "class_work/reader.py"), "65534", str(group)],
        input="{}",
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert "it cannot become 65534" in done.stderr
