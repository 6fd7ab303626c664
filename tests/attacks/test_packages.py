"""A package of the course is somebody else's: what its code gets when `apply` tries and compiles a new environment."""

from __future__ import annotations

import base64
import hashlib
import io
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import Hub
from tests.support.wheels import make_wheel

UTILS = Path(__file__).parents[2] / "salt" / "_utils"

#: What the package does wherever its code runs. What it got goes where everybody may write.
_EVIL = """
import os, socket, subprocess, sys

def get(point):
    got = []
    for path in ("/root/{mark}", "/etc/cron.d/{mark}", "/usr/local/bin/{mark}", sys.prefix + "/lib/{mark}"):
        try:
            open(path, "w").close()
            got.append("wrote " + path)
        except OSError:
            pass
    for path in ("/etc/shadow", "/proc/1/environ"):
        try:
            open(path).read()
            # It has a process namespace of its own, so this is its own environment.
            if path != "/proc/1/environ" or os.getpid() != 1:
                got.append("read " + path)
        except OSError:
            pass
    for become in (os.setuid, os.setgid, lambda to: os.setgroups([to])):
        try:
            become(0)
            got.append("became root")
        except OSError:
            pass
    try:
        socket.create_connection(("127.0.0.1", 22), 1).close()
        got.append("reached sshd")
    except OSError:
        pass
    subprocess.Popen(["sleep", "{sleep}"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open("/var/tmp/{mark}", "a") as trace:
        trace.write(f"{{point}} {{os.getuid()}} {{','.join(got)}}\\n")
"""

#: Programs of the package with the names of those that `apply` runs, and what they do.
_PROGRAMS = ("unshare", "setpriv", "sh", "sync", "systemd-run", "find", "gzip", "rm")
_PROGRAM = """#!/bin/sh
echo "$0 $(/usr/bin/id -u)" >> /var/tmp/{mark}
"""

#: What `apply` does with a new environment.
_APPLY = """
import sys
from pathlib import Path
import coursehub_uv
from coursehub_trial import preflight

room, python = Path(sys.argv[1]), Path("/usr/bin/python3").resolve()
target = room / "envs" / "new"
coursehub_uv.build(target, {"lock": room / "lock.txt"}, requirements="lock", npm=[], interpreter=python,
                   uv="/opt/uv/uv", cache=room / "cache", ca_bundle="/etc/ssl/certs/ca-certificates.crt")
preflight(target, ["innocent"], python)
coursehub_uv.compile_in_background(target, room / "cache", python)
"""

#: The system's Python has no modules of ours but these.
_RUN = """
set -e
cd {room}
printf %s {shipped} | base64 -d | tar -xz
UV_NO_INDEX=1 UV_FIND_LINKS={room} PYTHONPATH={room} /usr/bin/python3 -B apply.py {room} </dev/null >/dev/null
for second in $(seq 120); do [ -e envs/new/.compiled ] && break; sleep 0.5; done
ls envs/new/lib/python3*/site-packages/__pycache__
echo --
cat /var/tmp/{mark}
echo --
ps -eo args | grep -c '^sleep {sleep}$' || true
find /root /etc/cron.d /usr/local/bin envs/new/lib -name '{mark}'
"""


@pytest.fixture
def room(hub: Hub) -> Iterator[str]:
    """A directory on the server that everybody may enter, as an environment's is."""
    path = hub.run("mktemp -d /opt/attack.XXXXXX").strip()
    hub.run(f"chmod 0755 {path}")
    yield path
    hub.run(f"rm -rf {path}")


def packed(files: dict[str, bytes]) -> str:
    """Files as one word of a shell script."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return base64.b64encode(made.getvalue()).decode()


def test_a_package_of_the_course_runs_as_root(hub: Hub, room: str, tmp_path: Path) -> None:
    """Tries: to be root, or to leave something behind, by a package's import, .pth file, sitecustomize, compiler, or
    programs with the names of the system's.

    Stopped by: `apply` imports as nobody, walled in, and compiles by a Python that finds nothing of the environment; it
    names its own programs by their full paths.
    """
    mark, sleep = f"attack-{secrets.token_hex(8)}", str(987_000_000 + secrets.randbelow(999_999))
    evil: dict[str, Any] = {
        "innocent.py": "import innocent_evil\ninnocent_evil.get('import')\n",
        "innocent_evil.py": _EVIL.format(mark=mark, sleep=sleep),
        "innocent.pth": "import innocent_evil; innocent_evil.get('pth')\n",
        "sitecustomize.py": "import innocent_evil\ninnocent_evil.get('sitecustomize')\n",
        "compileall.py": "import innocent_evil\ninnocent_evil.get('compileall')\n",
        "py_compile.py": "import innocent_evil\ninnocent_evil.get('py_compile')\n",
        "innocent_later.py": "1\n",
        # Where root might find them before the system's programs.
        **{f"innocent-1.0.data/scripts/{name}": _PROGRAM.format(mark=mark) for name in _PROGRAMS},
    }
    wheel = make_wheel(tmp_path, "innocent", "1.0", more=evil)
    lock = f"innocent==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    files = {path.name: path.read_bytes() for path in UTILS.glob("coursehub_*.py")}
    files |= {wheel.name: wheel.read_bytes(), "lock.txt": lock.encode(), "apply.py": _APPLY.encode()}
    try:
        said = hub.run(_RUN.format(room=room, shipped=packed(files), mark=mark, sleep=sleep))
    finally:
        # All but the room is left where a wall is missing.
        hub.run(f"rm -f /var/tmp/{mark} /root/{mark} /etc/cron.d/{mark} /usr/local/bin/{mark}")
        hub.run(f"pkill -f '^sleep {sleep}$' || true")
    compiled, trace, left = said.split("--\n")
    # It did run, as nobody, and got nothing. (Debian's own sitecustomize may come before the package's.)
    ran = {line.strip() for line in trace.splitlines()}
    got = sorted(ran - {"import 65534", "pth 65534", "sitecustomize 65534"})
    assert not got, got
    assert {"import 65534", "pth 65534"} <= ran
    assert left.split() == ["0"]
    # And the class need not compile it: neither what was imported nor the rest.
    for module in ("innocent.", "innocent_evil.", "innocent_later."):
        assert f"\n{module}" in f"\n{compiled}", compiled
