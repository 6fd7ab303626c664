"""``secrets``: encrypted values in git, and new secrets for a server."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import course as courses
from runner import people, saltssh
from runner.agreed import PATHS
from runner.console import Steps
from runner.errors import USAGE, CoursehubError
from runner.files import write_private
from runner.project import Project
from runner.secrets.values import NAME, Secrets
from runner.secrets.vault import Report, Vault
from runner.servers.access import Access, KeyPair
from runner.servers.claim import claim
from runner.session import Session, reach
from runner.session.needs import need_signin
from runner.setup import material
from runner.verbs import material as material_verb


@dataclass(frozen=True)
class Made:
    """A secret that a server makes itself, in a file, if it is missing; ``disturbs`` says what a new one interrupts."""

    file: str
    disturbs: str


#: Secrets that formulas/jupyterhub makes once.
_MADE = {
    "proxy-token": Made(
        f"{PATHS['hub_state']}/proxy.env",
        "proxy and hub were restarted: open pages reconnected within seconds, no kernel was lost",
    ),
    "sync-token": Made(
        f"{PATHS['hub_state']}/sync.env",
        "proxy and hub were restarted: open pages reconnected within seconds, no kernel was lost",
    ),
    "cookie-secret": Made(
        f"{PATHS['hub_state']}/cookie_secret",
        "everybody has to sign in again at the hub; servers and kernels went on",
    ),
}
_SSH_KEY = "ssh-key"
#: All secrets that ``rotate`` can replace on a server.
ROTATED = (*_MADE, _SSH_KEY)


def set_(project: Project, course_id: str, name: str, value: str, report: Report) -> dict[str, Any]:
    """Encrypt a value for all teachers. The line break that a pipe adds to a single line is removed."""
    courses.source(project, course_id)
    if value.count("\n") == 1 and value.endswith("\n"):
        value = value[:-1].removesuffix("\r")
    vault = Vault(project)
    with claim(project, course_id, "secrets set"):
        vault.ensure_key(report)
        Secrets(project, course_id).set(name, value)
    return {
        "course": course_id,
        "name": name,
        "file": project.shown(project.secrets_file(course_id)),
        "keys": sorted(vault.recipients()),
    }


def show(project: Project, course_id: str, name: str | None) -> dict[str, Any]:
    """One value in clear, or all names."""
    # The archive of a past term needs its password, and then its course file may be gone.
    if not project.secrets_file(course_id).exists():
        courses.source(project, course_id)
    secrets = Secrets(project, course_id)
    if name is None:
        return {"course": course_id, "names": secrets.names()}
    return {"course": course_id, "name": name, "value": secrets.get(name)}


def remove(project: Project, course_id: str, name: str) -> dict[str, Any]:
    """Remove one value."""
    courses.source(project, course_id)
    with claim(project, course_id, "secrets remove"):
        secrets = Secrets(project, course_id)
        if name not in secrets.names():
            known = ", ".join(secrets.names()) or "none yet"
            raise CoursehubError(f"{secrets.shown} has no secret {name}; there are: {known}", exit_code=USAGE)
        secrets.remove(name)
    return {"course": course_id, "name": name}


def key(project: Project, report: Report) -> dict[str, Any]:
    """This computer's key. It is made if there is none, and its public half put into the repository."""
    vault = Vault(project)
    fingerprint = vault.ensure_key(report)
    vault.tell_salt()
    return {
        "fingerprint": fingerprint,
        "private": str(vault.home),
        "public": project.shown(vault.recipients()[fingerprint]),
    }


def key_lines(document: dict[str, Any]) -> list[str]:
    """Instructions for the teacher."""
    return [
        f"private key: {document['private']} (keep a copy elsewhere; without it the secrets are lost)",
        f"public key: {document['public']}; commit it, then who can read the secrets runs 'coursehub secrets rotate'",
    ]


def encrypt_again(project: Project, report: Report) -> dict[str, Any]:
    """Encrypt every secret and class list again for the keys that are in the repository now."""
    vault = Vault(project)
    vault.ensure_key(report)
    new = {project.shown(path) for path in vault.accept()}
    written = []
    for path in sorted(project.secrets.glob("*.sls")):
        course_id = path.stem.removesuffix("-people")
        with claim(project, course_id, "secrets rotate"):
            if path == project.people_file(course_id):
                people.write(project, course_id, people.read(project, course_id))
            else:
                Secrets(project, course_id).encrypt_again()
        written.append(project.shown(path))
    keys = {fingerprint: project.shown(path) for fingerprint, path in vault.recipients().items()}
    return {"written": written, "keys": keys, "new": sorted(new)}


def anew_lines(document: dict[str, Any]) -> list[str]:
    """The encrypted files, and for whom."""
    return [
        *(f"encrypted for {file}{' (new)' * (file in document['new'])}" for file in document["keys"].values()),
        *(f"written {file}" for file in document["written"]),
        "commit pillar/secrets/; who lost their key's place can still read what git kept: set new values for that",
    ]


def rotate(project: Project, course_id: str, what: str, steps: Steps) -> dict[str, Any]:
    """Replace one of a server's own secrets, and say whom that interrupts. May be interrupted and repeated."""
    courses.load(project, course_id)
    if what.startswith(material.KEY_PREFIX):
        return material_verb.rotate(project, course_id, what, steps.say)
    if what not in ROTATED:
        hint = ""
        if NAME.fullmatch(what) and what in Secrets(project, course_id).names():
            hint = f"; get a new {what} from its provider, then 'coursehub secrets set {course_id} {what}'"
        raise CoursehubError(f"no secret {what!r} to make new; there are: {', '.join(ROTATED)}{hint}", exit_code=USAGE)
    with claim(project, course_id, f"secrets rotate {what}"):
        session = reach(project, course_id, steps.say)
        server = session.server()
        ip = str(server.ip)
        with steps.step("rotate", f"new {what} for {course_id}") as progress:
            if what == _SSH_KEY:
                _new_ssh_key(session, ip, progress)
                disturbs = "nobody notices"
            else:
                _new_on_server(session, ip, _MADE[what])
                disturbs = _MADE[what].disturbs
    return {"course": course_id, "what": what, "disturbs": disturbs}


def _new_on_server(session: Session, ip: str, made: Made) -> None:
    """Let the states make the file again, and restart what reads it."""
    # The states include all of sign-in, so what an apply refuses must be refused here.
    need_signin(session)
    session.write_pillar(ip)
    session.access.run(ip, f"rm -f {shlex.quote(made.file)}\n")
    report = saltssh.highstate(session.project, session.course_id, ip=ip, sls=["jupyterhub"])
    if report.failed:
        raise CoursehubError(
            f"{session.course_id}: state {report.failed[0].name} failed: {report.failed[0].reason[:300]}; "
            f"run 'coursehub apply {session.course_id}'"
        )


_ADD_KEY = """
set -eu
umask 077
file=/root/.ssh/authorized_keys
grep -qxF {new} "$file" || printf '%s\\n' {new} >> "$file"
"""
#: Only our own line is removed: a teacher may have added another key.
_DROP_KEY = """
set -eu
umask 077
file=/root/.ssh/authorized_keys
grep -vF {old} "$file" > "$file.coursehub" || test ! -s "$file.coursehub"
grep -qF {new} "$file.coursehub"
chmod 0600 "$file.coursehub"
mv -f "$file.coursehub" "$file"
"""


def _new_ssh_key(session: Session, ip: str, progress: Callable[[str], None]) -> None:
    """Add a new client key beside the old one, use it, and only then remove the old one.

    May be interrupted anywhere and repeated; the stored client key works at all times. ``client_key.new`` exists until
    the switch, ``client_key.old`` from before it to the end, and no public key is beside another key's private one.
    """
    access = session.access
    current, new, old = access.key_file, access.new_key_file, access.old_key_file
    if new.exists() or not old.exists():
        if not new.exists():
            write_private(new, KeyPair.generate("coursehub").private)
        progress("adding the new key")
        access.run(ip, _ADD_KEY.format(new=shlex.quote(_public(new))))
        progress("trying the new key")
        _try_key(access, ip, new)
        write_private(old, current.read_text(encoding="utf-8"))
        current.with_name(f"{current.name}.pub").unlink(missing_ok=True)
        new.replace(current)
    progress("removing the old key")
    gone, stays = (shlex.quote(_public(key).split()[1]) for key in (old, current))
    access.run(ip, _DROP_KEY.format(old=gone, new=stays))
    session.cloud.remove_keys(access.alias)
    session.cloud.ensure_key(access.alias, access.client_key().public)
    old.unlink()


def _public(private: Path) -> str:
    """The public key as one line of authorized_keys."""
    return KeyPair.of(private.read_text(encoding="utf-8"), "coursehub").public


def _try_key(access: Access, ip: str, key_file: Path) -> None:
    argv = access.argv(ip, "true")
    argv[argv.index(str(access.key_file))] = str(key_file)
    # An existing connection would prove nothing; ssh uses the first value of each option.
    argv[1:1] = ["-o", "ControlPath=none"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise CoursehubError(
            f"{access.course_id}: the server does not take the new key, so the old one stays; run the command again"
        )
