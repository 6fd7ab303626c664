"""``keys backup`` and ``keys restore``: what only a teacher's computer has, in one encrypted file.

If that is lost, nobody can change or delete the servers, or read the encrypted files in git. The file is a tar archive,
encrypted by GnuPG with a passphrase, so it can be opened without coursehub.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from runner.errors import USAGE, CoursehubError
from runner.files import PRIVATE, write_private, write_whole
from runner.project import Project
from runner.secrets import archive, sealed
from runner.secrets.vault import Vault
from runner.servers.access import write_roster

#: In .coursehub: not saved, because it is recreated automatically or applies to one computer only.
LEFT_OUT = frozenset(
    {
        "audit",
        "claims",
        "cloud",
        "cloud.lock",
        "error.log",
        "roster",
        "roster.lock",
        "salt",
        "salt.d",
        "scratch",
        "drills",
    }
)
#: In pillar/: saved too, in case the teacher never pushed the repository.
OF_THE_PILLAR = ("courses", "secrets", "site.sls", "files/locks", "files/logos")
#: Bytes of one file. A larger file is not a key and is skipped.
MAX_BYTES = 4 * 1024**2
_KEY, _ACCEPTED, _ABOUT = "vault/key.asc", "vault/accepted", "about.json"


def backup(project: Project, target: Path, typed: str | None) -> dict[str, Any]:
    """Write everything that must not be lost to ``target``, and a sheet to print next to it.

    Without a ``typed`` passphrase, one is made, and the sheet shows it. Raises CoursehubError.
    """
    passphrase = typed or sealed.make_passphrase()
    sealed.need_strong(passphrase)
    sheet = target.with_name(f"{target.name}.sheet.txt")
    if target.exists():
        raise CoursehubError(f"{target} exists already; give another name", exit_code=USAGE)
    vault = Vault(project)
    files = dict(_files(project))
    fingerprints = vault.private_keys()
    if fingerprints:
        files[_KEY] = vault.export_private().encode()
        files[_ACCEPTED] = "".join(f"{one}\n" for one in vault.accepted()).encode()
    about = {
        "made": int(time.time()),
        "computer": socket.gethostname(),
        "keys": fingerprints,
        "courses": _courses(files),
    }
    files[_ABOUT] = json.dumps(about).encode()
    content = sealed.seal(archive.pack(files), passphrase)
    # Check that the file can be read before anybody relies on it.
    if archive.unpack(sealed.unseal(content, passphrase, str(target))) != files:
        raise CoursehubError(f"{target} could not be read back; run this again")
    write_whole(target, content, PRIVATE)
    write_whole(sheet, "\n".join(_sheet(target, about, None if typed else passphrase)) + "\n", PRIVATE)
    return {"file": str(target), "sheet": str(sheet), "files": len(files) - 1, **about}


def restore(project: Project, source: Path, passphrase: str, *, replace: bool) -> dict[str, Any]:
    """Restore what ``backup`` wrote.

    If files here differ, nothing is changed without ``replace``, and CoursehubError (2) names them. With ``replace``,
    the old files are moved to ``.coursehub/replaced-TIME``.
    """
    try:
        content = source.read_bytes()
    except FileNotFoundError:
        raise CoursehubError(f"{source} does not exist", exit_code=USAGE) from None
    files = archive.unpack(sealed.unseal(content, passphrase, str(source)))
    about = json.loads(files.pop(_ABOUT, b"{}"))
    key, accepted = files.pop(_KEY, None), files.pop(_ACCEPTED, b"")
    places = {_place(project, name): content for name, content in files.items()}
    differ = [path for path, wanted in places.items() if path.exists() and path.read_bytes() != wanted]
    if differ and not replace:
        shown = ", ".join(project.shown(path) for path in differ[:5]) + (" and more" if len(differ) > 5 else "")
        newest = max(path.stat().st_mtime for path in differ)
        age = "newer" if newest > about.get("made", 0) else "older"
        raise CoursehubError(
            f"{len(differ)} files here differ from the backup's and are {age} ({shown}); nothing was changed. If the "
            "backup's are the right ones, run this again with --replace",
            exit_code=USAGE,
        )
    aside = project.state / f"replaced-{time.strftime('%Y%m%d-%H%M%S')}"
    for path in differ:
        old = aside / project.shown(path)
        old.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.rename(old)
    new = [path for path in places if not path.exists()]
    for path in new:
        write = write_private if path.is_relative_to(project.state) else write_whole
        write(path, places[path])
    if key:
        Vault(project).import_private(key.decode(), accepted.decode().split())
    write_roster(project)
    return {
        "files": len(places),
        "written": len(new),
        "replaced": project.shown(aside) if differ else None,
        "courses": about.get("courses", []),
        "keys": about.get("keys", []),
    }


def _files(project: Project) -> Iterator[tuple[str, bytes]]:
    """Everything to save: the name in the archive, and the content."""
    roots = [(f"state/{path.name}", path) for path in sorted(project.state.iterdir()) if path.name not in LEFT_OUT]
    pillar = project.root / "pillar"
    roots += [(f"pillar/{name}", pillar / name) for name in OF_THE_PILLAR if (pillar / name).exists()]
    for name, root in roots:
        if name.startswith("state/replaced-"):
            continue
        # Of the local cloud's backups only the passwords are saved; the repositories contain no keys.
        below = root.glob("*.json") if name == "state/backups" else root.rglob("*")
        for path in [root] if root.is_file() else sorted(below):
            # Skip links and ssh's sockets.
            if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
                continue
            yield str(PurePosixPath(name) / path.relative_to(root)) if path != root else name, path.read_bytes()


def _courses(files: Iterable[str]) -> list[str]:
    return sorted({PurePosixPath(name).parts[2] for name in files if name.startswith("state/servers/")})


def _place(project: Project, name: str) -> Path:
    """The path for a file of the archive. Raises CoursehubError for a path outside the working copy."""
    parts = PurePosixPath(name).parts
    if len(parts) < 2 or parts[0] not in ("state", "pillar") or any(part in ("..", "/") for part in parts):
        raise CoursehubError(f"the backup contains {name!r}, which no backup of keys has; use another copy")
    return (project.state if parts[0] == "state" else project.root / "pillar").joinpath(*parts[1:])


def _sheet(target: Path, about: dict[str, Any], passphrase: str | None) -> list[str]:
    """The page to print: what the file is, and how to restore it on a new computer."""
    made = time.strftime("%d %B %Y, %H:%M", time.localtime(about["made"]))
    secret = passphrase or "the one that you typed. It is stored nowhere: ______________________________"
    return [
        "COURSEHUB: KEYS OF A TEACHER'S COMPUTER",
        "",
        f"File:        {target.name}",
        f"Made:        {made}, on {about['computer']}",
        f"Courses:     {', '.join(about['courses']) or 'none with a server'}",
        *(f"Key:         {one}" for one in about["keys"]),
        f"Passphrase:  {secret}",
        "",
        "The file opens the servers of these courses, and what is encrypted in git: class lists and secrets.",
        "Keep two copies in two different buildings, and not only on this computer. Print this sheet, then delete it.",
        "",
        "On a new computer (Debian 12 or newer, or WSL with it):",
        "  1. git clone YOUR-REPOSITORY coursehub; cd coursehub",
        f"  2. ./coursehub keys restore PATH/TO/{target.name}",
        "  3. ./coursehub status, then ./coursehub apply YOUR-COURSE",
        "",
        f"Without coursehub: gpg --decrypt {target.name} | tar -xJ",
        "Make a new file after each new course, new server or new secret.",
    ]


def backup_lines(document: dict[str, Any]) -> list[str]:
    """What was written, for a person."""
    return [
        f"{document['files']} files are in {document['file']}, encrypted; copy it to two other places",
        f"print {document['sheet']}, then delete it",
    ]


def restore_lines(document: dict[str, Any]) -> list[str]:
    """What was restored, for a person."""
    lines = [f"{document['written']} of {document['files']} files were written; the others were here already"]
    if document["replaced"]:
        lines.append(f"what they replaced is in {document['replaced']}")
    courses = " ".join(document["courses"])
    return [*lines, f"now look: ./coursehub status {courses}".rstrip()]
