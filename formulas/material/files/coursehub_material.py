#!/usr/bin/python3 -I
"""Keep a bare mirror of one branch of each of the class's repositories, from which students pull.

A failed fetch leaves the mirror as it was, and status.json says what to do about it. A mirror that git cannot use any
more, for example after a power cut, is made again.
"""

import contextlib
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Facts = dict[str, Any]

CONFIG = Path("/etc/coursehub-material/config.json")
# systemd sets the directory; the Salt state reads the status there.
STATE = Path(os.environ.get("STATE_DIRECTORY", "/var/lib/coursehub-material"))
# Limits for a host that does not answer, for a transfer without data, and for a whole fetch.
CONNECT_SECONDS = 10
STALLED_SECONDS = 30
FETCH_SECONDS = 900
# What git and ssh say, and what it means: the first match counts. "away" passes by itself; "wrong" must be fixed in the
# course file or at the git host; "server" must be fixed on this server.
SERVER = "the server cannot keep {url} ({said}); fix that there, 'journalctl -u coursehub-material' says more"
MEANINGS = [
    (r"^(?!remote:).*(No space left|Disk quota exceeded|Read-only file system).*", "server", SERVER),
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|No \S+ host key is known",
        "wrong",
        "{host} shows another SSH key than the known one, so nothing was fetched; somebody intercepts the connection, "
        "or the host has a new key: ask its administrators, then correct host_key",
    ),
    (
        # ssh adds the tried methods in brackets. Without them it is a file that may not be written.
        r"Permission denied \(|Load key|invalid format",
        "wrong",
        "{host} does not accept the deploy key for {url}; paste its public half there ('coursehub material' prints it)",
    ),
    (r"couldn't find remote ref|Remote branch .* not found", "wrong", "{url} has no branch {branch}; correct branch"),
    (
        r"certificate|SSL",
        "wrong",
        "the certificate of {host} is not trusted; correct the address, or ask its administrators to fix it",
    ),
    (
        r"not found|does not appear to be a git repo|could not read Username|Authentication failed|"
        r"error: 40[134]|not valid: is this a git|Could not read from remote repository\.?$|access denied",
        "wrong",
        "{url} is no repository that this server may read; correct it, or use the git@ one (with a deploy key)",
    ),
]
AWAY = "{host} does not answer ({said}); it is tried again each minute"
UNCLEAR = "{url} cannot be fetched ({said}); it is tried again each minute"
# ssh adds "Could not read from remote repository" to every error, so these are searched first.
SILENT = (
    r"Could not resolve|Could(n't| not) connect|timed out|refused|unreachable|No route|reset by peer|Connection closed|"
    r"Empty reply|too slow|Temporary fail|error: (429|5\d\d)"
)


class FetchError(Exception):
    """A repository could not be fetched: ``kind`` is wrong, away, server or unclear."""

    def __init__(self, kind: str, line: str) -> None:
        super().__init__(line)
        self.kind = kind


def main() -> None:
    """Bring every mirror up to date, and delete those of removed repositories."""
    config = json.loads(CONFIG.read_text())
    mirrors, entries = Path(config["mirrors"]), config["repositories"]
    # First, because these may be what fills the disk.
    for path in mirrors.iterdir():
        if path.name not in entries:
            shutil.rmtree(path, ignore_errors=True)
    status = read_status()
    for name, entry in entries.items():
        status[name] = bring(mirrors / name, entry, config, status.get(name, {}))
        # An error here is reported at the end, after the other repositories.
        with contextlib.suppress(OSError):
            write_status({known: status[known] for known in entries if known in status})
    write_status({known: status[known] for known in entries})


def read_status() -> Facts:
    """Return the status of the last run."""
    try:
        status: Facts = json.loads((STATE / "status.json").read_text())
    except (OSError, ValueError):
        return {}
    return status


def write_status(status: Facts) -> None:
    """Write the status in one step. If that fails, delete the old status, which would be wrong now. Raises OSError."""
    unfinished = STATE / "status.json.new"
    try:
        unfinished.write_text(json.dumps(status, indent=1))
    except OSError:
        (STATE / "status.json").unlink(missing_ok=True)
        raise
    unfinished.replace(STATE / "status.json")


def bring(mirror: Path, entry: Facts, config: Facts, before: Facts) -> Facts:
    """Fetch one repository and return its status."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        return {"entry": entry, "commit": refresh(mirror, entry, config), "fetched": now}
    except FetchError as problem:
        kind, line = problem.kind, str(problem)
    except (OSError, subprocess.CalledProcessError) as problem:
        said = last_line(getattr(problem, "stderr", "") or str(problem))
        kind, line = "server", SERVER.format(url=entry["url"], said=said)
    print(f"{mirror.name}: {line}", file=sys.stderr)
    trouble = {"kind": kind, "line": line, "since": before.get("problem", {}).get("since", now)}
    return {**before, "entry": entry, "problem": trouble}


def refresh(mirror: Path, entry: Facts, config: Facts) -> str:
    """Bring a mirror up to date and return its commit.

    If the fetch fails and neither the host nor the disk is the reason, the mirror itself may be damaged. Then a new
    mirror beside it shows whether it is.
    """
    if not (mirror / "HEAD").exists():
        return make(mirror, entry, config)
    try:
        return fetch(mirror, entry, config)
    except FetchError as problem:
        if problem.kind != "unclear":
            raise
        said = str(problem)
    except subprocess.CalledProcessError as problem:
        said = last_line(problem.stderr)
    print(f"{mirror.name}: made again, because {said}", file=sys.stderr)
    return make(mirror, entry, config)


def make(mirror: Path, entry: Facts, config: Facts) -> str:
    """Make a mirror under another name and rename it when it is complete. Return its commit."""
    unfinished, old = (mirror.with_name(f".{mirror.name}.{what}") for what in ("new", "old"))
    for left in (unfinished, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        git(None, "init", "--quiet", "--bare", str(unfinished))
        commit = fetch(unfinished, entry, config)
        if mirror.exists():
            mirror.rename(old)
        unfinished.rename(mirror)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    return commit


def fetch(mirror: Path, entry: Facts, config: Facts) -> str:
    """Fetch the branch as it is now, even if its history was rewritten, and delete all others. Return its commit."""
    branch = f"refs/heads/{entry['branch']}"
    done = git(
        mirror,
        # What was fetched survives a power cut.
        *("-c", "core.fsync=all", "-c", "gc.autoDetach=false"),
        *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head"),
        *("--", entry["url"], f"+{branch}:{branch}"),
        env=environment(mirror, config, "file" if entry["url"].startswith("/") else "https:ssh"),
        check=False,
    )
    if done.returncode:
        # The path of the mirror must not match a pattern below.
        raise explain(entry, done.stderr.replace(str(mirror), "the mirror"))
    git(mirror, "symbolic-ref", "HEAD", branch)
    for ref in git(mirror, "for-each-ref", "--format=%(refname)").stdout.split():
        if ref != branch:
            git(mirror, "update-ref", "-d", ref)
    return git(mirror, "rev-parse", "--verify", "HEAD^{commit}").stdout.strip()


def git(
    mirror: Path | None, *words: str, env: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run git, in a mirror if one is given."""
    argv = ["git", *(["--git-dir", str(mirror)] if mirror else []), *words]
    try:
        return subprocess.run(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=FETCH_SECONDS,
            check=check,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 1, "", f"timed out after {FETCH_SECONDS} s")


def environment(mirror: Path, config: Facts, protocol: str) -> dict[str, str]:
    """Return an environment in which git asks no questions and trusts only known hosts.

    ``protocol`` is "file" for a bundle on this server, otherwise the protocols of git hosts.
    """
    known_hosts = STATE / "known_hosts"
    known_hosts.write_text("".join(known_lines(config)))
    name = mirror.name.removeprefix(".").removesuffix(".new") if mirror.name.startswith(".") else mirror.name
    ssh = [
        *("ssh", "-F", "/dev/null", "-i", f"{config['keys']}/{name}"),
        *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"),
        *("-o", f"UserKnownHostsFile={known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", f"ConnectTimeout={CONNECT_SECONDS}", "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),
    ]
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(STATE),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_SSH_COMMAND": " ".join(ssh),
        "GIT_SSH_VARIANT": "ssh",
        "GIT_ALLOW_PROTOCOL": protocol,
        "GIT_HTTP_LOW_SPEED_LIMIT": "1",
        "GIT_HTTP_LOW_SPEED_TIME": str(STALLED_SECONDS),
        **{key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")},
    }


def known_lines(config: Facts) -> Iterator[str]:
    """Return a line of known_hosts for each host whose key is known."""
    known = dict(config["known_hosts"])
    for entry in config["repositories"].values():
        if entry["host_key"]:
            host, port = place(entry["url"])
            known[f"[{host}]:{port}" if port else host] = entry["host_key"]
    return (f"{host} {key}\n" for host, key in known.items())


def place(url: str) -> tuple[str | None, int | None]:
    """Return host and port (None: the default one) of a git address."""
    scp = re.match(r"[^/:]+@([^/:]+):", url)
    if scp:
        return scp[1], None
    parts = urlsplit(url)
    return parts.hostname, parts.port


def explain(entry: Facts, stderr: str) -> FetchError:
    """Return the error for git's output."""
    silent = next((line for line in stderr.splitlines() if re.search(SILENT, line)), "")
    facts = {"host": place(entry["url"])[0], "url": entry["url"], "branch": entry["branch"]}
    for pattern, kind, line in () if silent else MEANINGS:
        if found := re.search(pattern, stderr, re.IGNORECASE | re.MULTILINE):
            return FetchError(kind, line.format(**facts, said=last_line(found[0])))
    kind, line = ("away", AWAY) if silent else ("unclear", UNCLEAR)
    return FetchError(kind, line.format(**facts, said=last_line(silent or stderr) or "git gave no reason"))


def last_line(said: str) -> str:
    """Return the last line of a program's output, without the program's name."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [""]
    return re.sub(r"^(fatal|error|ssh): ", "", lines[-1])[:200]


if __name__ == "__main__":
    main()
