"""The page "Students' work": the real service and its readers, on homes with real accounts, with a stand-in hub.

The service runs as in its unit: root with three capabilities, in a mount namespace with the test's accounts and homes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from tornado.web import create_signed_value

from tests.support import unix_http
from tests.support.hub_config import DEFAULTS, FILES
from tests.support.root import eventually
from tests.support.serving import in_background
from tests.support.visiting import CLICK

PREFIX = "/services/students-work/"
COOKIE = "service-students-work"
SCOPE = "access:services!service=students-work"


#: Token: account. The hub still names `gone` for a while after its group membership was removed.
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


#: Created as the student, with whatever a student may do.
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


#: Like ``python -m class_work.service``, but with short time limits, and it cannot log a look at Mia's work.
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
    """The session cookie of a person's browser after the hub has identified them."""
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
    """Identifies tokens, as the hub does, and denies access to students."""

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
    # pytest's own directories are only for root, but the students' readers work in this one.
    scratch = Path(tempfile.mkdtemp(prefix="coursehub-work-"))
    scratch.chmod(0o755)
    for name in ("home", "log", "lib", "groups"):
        (scratch / name).mkdir()
    for name in ("class_openings", "class_work"):
        (scratch / "lib" / name).symlink_to(FILES / name)
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
        # Without nbconvert: the machine test covers notebooks as pages.
        "python": "/usr/bin/python3",
    }
    (scratch / "names.json").write_text(json.dumps({"ada": "Ada <Lovelace>", "ta": "Tess Assistant"}))
    settings["names"] = str(scratch / "names.json")
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
