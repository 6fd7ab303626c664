"""Files of every odd kind in the homes of a server, and a description by which two servers can be compared.

Both are programs for the server: they run there as root with ``python3 -I``.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.hub import Hub

#: Runs as the person, in their home.
_MAKE = r"""
import os, socket, struct
os.umask(0o022)
os.makedirs("labs/empty/deeper")
os.makedirs("labs/" + "/".join(["d"] * 300))
open("labs/lab.ipynb", "w").write("{}")
os.symlink("lab.ipynb", "labs/link")
os.symlink("/etc/shadow", "labs/to-shadow")
os.symlink("/home/" + OTHER, "labs/to-a-home")
os.symlink("nowhere", "labs/broken")
os.link("labs/lab.ipynb", "labs/same-file")
os.mkfifo("labs/pipe")
socket.socket(socket.AF_UNIX).bind("labs/socket")
for name in (b"bytes \xff\xfe", b"new\nline", b"-rf", b"we*ird [1]?.txt", "Übung 1 \u202e.txt".encode()):
    open(b"labs/" + name, "wb").write(name)
with open("labs/sparse", "wb") as file:
    file.truncate(4 << 30)
    file.seek(2 << 30)
    file.write(b"middle")
open("labs/secret", "w").write("s"); os.chmod("labs/secret", 0o400)
open("labs/program", "w").write("#!/bin/sh\n"); os.chmod("labs/program", 0o4755)
os.chmod("labs/empty", 0o2750)
os.chmod("labs/empty/deeper", 0o500)
open("labs/noted", "w").write("n"); os.setxattr("labs/noted", "user.note", b"by me")
os.utime("labs/lab.ipynb", ns=(1, 1_700_000_000_123_456_789))
os.utime("labs/link", ns=(1, 1_600_000_000_000_000_001), follow_symlinks=False)
open("labs/CACHEDIR.TAG", "w").write("Signature: 8a477f597d28d172789f06886806bc55\n")
os.makedirs("many")
for n in range(500):
    open(f"many/{n}.txt", "w").write(str(n))
# An access list for a teammate.
entries = [(1, 6, 0xFFFFFFFF), (2, 4, TEAMMATE), (4, 0, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)]
open("labs/for-a-teammate", "w").write("t")
os.setxattr("labs/for-a-teammate", "system.posix_acl_access",
            struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries))
os.utime("labs", ns=(1, 1_500_000_000_000_000_000))
"""
#: Prints JSON: by the name in hexadecimal, what is known of everything below some directories.
_DESCRIBE = r"""
import grp, hashlib, json, os, pwd, stat, struct, sys
def name(of, number):
    try:
        return of(number)[0]
    except KeyError:
        return number
def acl(path, kind):
    try:
        value = os.getxattr(path, "system.posix_acl_" + kind, follow_symlinks=False)
    except OSError:
        return None
    named = {2: pwd.getpwuid, 8: grp.getgrgid}
    return [[tag, rights, name(named[tag], who) if tag in named else 0]
            for tag, rights, who in struct.iter_unpack("<HHI", value[4:])]
def digest(path):
    done = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 22):
            done.update(part)
    return done.hexdigest()
found, first = {}, {}
for root in map(os.fsencode, ROOTS):
    paths = [root] + [os.path.join(d, n) for d, names, files in os.walk(root) for n in names + files]
    for path in sorted(paths):
        seen = os.lstat(path)
        if stat.S_ISSOCK(seen.st_mode):
            continue
        link = stat.S_ISLNK(seen.st_mode)
        regular = stat.S_ISREG(seen.st_mode)
        found[path.hex()] = {
            "kind": stat.S_IFMT(seen.st_mode), "mode": 0 if link else stat.S_IMODE(seen.st_mode),
            "owner": name(pwd.getpwuid, seen.st_uid), "group": name(grp.getgrgid, seen.st_gid),
            "time": seen.st_mtime_ns, "size": seen.st_size if regular else 0,
            "content": digest(path) if regular else os.readlink(path).hex() if link else "",
            "same": first.setdefault((seen.st_dev, seen.st_ino), path.hex()) if regular else "",
            "sparse": regular and seen.st_blocks * 512 < seen.st_size // 2 > 1 << 20,
            "acl": [acl(path, "access"), acl(path, "default")],
            "xattr": [[n, os.getxattr(path, n, follow_symlinks=False).hex()]
                      for n in os.listxattr(path, follow_symlinks=False) if n.startswith("user.")],
        }
print(json.dumps(found))
"""


def make(hub: Hub, account: str, *, other: str) -> None:
    """Fill a person's home. ``other`` is somebody whose home they link to, and whom they give a right."""
    hub.run(
        f"cat > /run/odd.py <<'EOF'\nimport pwd\nOTHER = {other!r}\nTEAMMATE = pwd.getpwnam(OTHER).pw_uid\n{_MAKE}EOF\n"
        f"chmod 0644 /run/odd.py; cd ~{account} && runuser -u {account} -- python3 -I /run/odd.py; rm /run/odd.py"
    )


def describe(hub: Hub, *roots: str) -> dict[str, dict[str, Any]]:
    """All below these directories, by the name: kind, mode, owner, group, time, content, links, rights."""
    said = hub.run(f"python3 -I - <<'EOF'\nROOTS = {roots!r}\n{_DESCRIBE}EOF")
    found: dict[str, dict[str, Any]] = json.loads(said)
    return {bytes.fromhex(name).decode(errors="backslashreplace"): facts for name, facts in found.items()}
