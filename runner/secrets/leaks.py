"""Finds what git must not track: secrets and private keys in clear, class lists, the state directory.

It takes a few milliseconds, so every verb that touches a server runs it first; ``python -m runner.secrets.leaks`` is
the pre-commit hook. It checks git's index, which is what the next commit publishes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml

from runner import classlist
from runner.console import fail
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.secrets.vault import MESSAGE

#: git searches for these fixed words, which is fast. Files that contain one are then read.
_WORDS = ("PRIVATE KEY", "dop_v1_", "OrgDefinedId", "SIS Login ID", "Email address", "Last Name")
#: A private key's block with its body, anywhere in a line: indented in YAML, quoted in a program, in JSON with escaped
#: line breaks; PEM, OpenSSH and OpenPGP. A header matches completely or not at all, to avoid catastrophic backtracking.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
    r"(?:\s|\\+[rn]|[A-Za-z-]+: (?:[^\r\n\\]|\\(?![\\rn]))*+)*+"
    r"[A-Za-z0-9+/=]{40,}"
)
_TOKEN = re.compile(r"dop_v1_[0-9a-f]{64}")
#: The first line of an LMS's export, see runner/classlist/formats.
_CLASS_LIST = re.compile(
    r"\A\W*(OrgDefinedId|Student\W+ID\W.*SIS Login ID|First name\W+(Surname|Last name)\W.*Email address"
    r"|Last Name\W+First Name\W+Username\W|Username\W+Last Name\W+First Name\W.*End-of-Line Indicator)"
)
_PUBLIC_KEY = re.compile(
    r"\A-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n.*-----END PGP PUBLIC KEY BLOCK-----\s*\Z", re.DOTALL
)
_SECRETS = "pillar/secrets/"
_NOW = "count it as known to everybody: make a new one, 'git rm --cached' the file, and take it out of git's history"


@dataclass(frozen=True)
class Leak:
    """One thing that git tracks in clear; ``what`` never quotes it."""

    file: str
    line: int
    what: str
    do: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}; {self.do}"


def find(project: Project) -> list[Leak]:
    """Everything in clear that the working copy's git tracks; nothing if there is no git.

    Raises CoursehubError if git itself fails.
    """
    listed = _git(project, "ls-files", "-z", "--", ".coursehub", "archives", _SECRETS)
    if listed is None:
        return []
    tracked = [name for name in listed.split("\0") if name]
    words = [part for word in _WORDS for part in ("-e", word)]
    suspects = [name for name in (_git(project, "grep", "--cached", "-lzIF", *words) or "").split("\0") if name]
    private = [name for name in tracked if name.startswith(_SECRETS)]
    found = [
        Leak(name, 1, "git tracks the state directory, which has the keys to the servers", _NOW)
        for name in tracked
        if name.startswith(".coursehub/")
    ][:1]
    found += [
        Leak(name, 1, "git tracks an archive of students' work", _NOW)
        for name in tracked
        if name.startswith("archives/")
    ][:1]
    binary = _binary(project)
    for name, content in _contents(project, [*private, *suspects, *binary]):
        text = content.decode("utf-8", errors="replace")
        found += _of_anywhere(name, text) if name in suspects else []
        found += _of_binary(name, content) if name in binary else []
        found += _of_secrets(name, text) if name in private else []
    return list(dict.fromkeys(found))


def refuse(project: Project) -> None:
    """Raise CoursehubError (2) if git tracks something in clear."""
    found = find(project)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise CoursehubError(f"{found[0]}{more}", exit_code=USAGE)


def _of_anywhere(name: str, text: str) -> Iterator[Leak]:
    for pattern, what in ((_PRIVATE_KEY, "a private key in clear"), (_TOKEN, "a DigitalOcean token in clear")):
        match = pattern.search(text)
        if match:
            yield Leak(name, text.count("\n", 0, match.start()) + 1, what, _NOW)
    if _CLASS_LIST.search(text[:2000]):
        yield _class_list(name)


def _of_binary(name: str, content: bytes) -> Iterator[Leak]:
    """Leaks in files that git considers binary: UTF-16, as Blackboard and PowerShell write it, and spreadsheets."""
    if content.startswith(b"PK\x03\x04"):
        if classlist.exported_by(content):
            yield _class_list(name)
        return
    try:
        yield from _of_anywhere(name, classlist.decode(content, name))
    except CoursehubError:
        return


def _class_list(name: str) -> Leak:
    return Leak(
        name, 1, "a class list in clear", "read it with 'coursehub roster import', then 'git rm --cached' the file"
    )


def _of_secrets(name: str, text: str) -> Iterator[Leak]:
    below = name.removeprefix(_SECRETS)
    if below.startswith("keys/") and below.endswith(".asc"):
        if not _PUBLIC_KEY.match(text):
            yield Leak(name, 1, "not a public key", "write it again with 'coursehub secrets key'")
    elif not below.endswith(".sls") or not _encrypted(text):
        yield Leak(name, 1, "not encrypted", f"set it with 'coursehub secrets set'; {_NOW}")


def _encrypted(text: str) -> bool:
    """Whether everything is encrypted: the whole file is a message, or each value of a mapping is."""
    if text.startswith("#!gpg|yaml\n"):
        return bool(MESSAGE.fullmatch(text.removeprefix("#!gpg|yaml\n")))
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return False
    return isinstance(found, dict) and all(
        isinstance(value, str) and MESSAGE.fullmatch(value.strip() + "\n") for value in found.values()
    )


def _binary(project: Project) -> list[str]:
    """Tracked files that git considers binary, except those too large for an export."""
    listed = (_git(project, "ls-files", "--eol", "-z", "--", ".", *_NEVER) or "").split("\0")
    names = _askable(line.partition("\t")[2] for line in listed if line.startswith("i/-text "))
    heads = _cat(project, "--batch-check", names).splitlines()
    return [
        name
        for name, head in zip(names, heads, strict=True)
        if (blob := _BLOB.fullmatch(head)) and int(blob[1]) <= classlist.MAX_BYTES
    ]


def _contents(project: Project, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Contents of tracked files in the index, read by one process; unmerged files are skipped."""
    wanted = _askable(dict.fromkeys(names))
    rest = _cat(project, "--batch", wanted)
    for name in wanted:
        head, _, rest = rest.partition(b"\n")
        if blob := _BLOB.fullmatch(head):
            size = int(blob[1])
            yield name, rest[:size]
            rest = rest[size + 1 :]


#: Files that are neither text nor tables, by extension: git would have to read each. A program is never UTF-16.
_NEVER = [f":!*.{ending}" for ending in ("png", "jpg", "jpeg", "gif", "webp", "py")]
_BLOB = re.compile(rb"[0-9a-f]+ blob ([0-9]+)")


def _askable(names: Iterable[str]) -> list[str]:
    # cat-file reads one name per line.
    return [name for name in names if "\n" not in name]


def _cat(project: Project, how: str, names: list[str]) -> bytes:
    """The contents of these files in git's index."""
    if not names:
        return b""
    asked = "".join(f":./{name}\n" for name in names).encode()
    done = subprocess.run([*_COMMAND, "cat-file", how], cwd=project.root, input=asked, capture_output=True, check=False)
    if done.returncode:
        raise _unsaid(done.stderr.decode(errors="replace"))
    return done.stdout


#: With sudo the checkout belongs to another user, and git refuses to read it without this option.
_COMMAND = ("git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false")


def _git(project: Project, *arguments: str) -> str | None:
    """git's output; None if this is not a checkout or git is missing."""
    if not any((parent / ".git").exists() for parent in (project.root, *project.root.parents)):
        return None
    try:
        done = subprocess.run(
            [*_COMMAND, *arguments], cwd=project.root, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError:
        return None
    # 1 means that grep found nothing.
    if done.returncode not in (0, 1):
        raise _unsaid(done.stderr)
    return done.stdout


def _unsaid(stderr: str) -> CoursehubError:
    said = (stderr.strip().splitlines() or ["no reason given"])[-1]
    return CoursehubError(f"git cannot say whether secrets are tracked in clear ({said}); repair the checkout")


def main() -> int:
    """The pre-commit hook: prints a line for each leak; exit code 1 if there is one."""
    found = find(Project.here())
    for leak in found:
        fail(str(leak))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
