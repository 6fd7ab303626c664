"""What a local cloud needs from this host, and changes on it outside its own directories."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.errors import CoursehubError
from runner.files import write_whole
from runner.local.identity import DATA_ROOT, HOST_LOCK

Report = Callable[[str], None]

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# Below /run, because a reboot resets the setting too.
FORWARD_MARK = Path("/run/coursehub-ip_forward-was-off")
HOSTS = Path("/etc/hosts")
_CLOUDS_LINE = re.compile(r"^\S+ (?P<name>\S+) # coursehub-(?P<key>[0-9a-f]{8})$")

# For each Debian package, a program that shows it is installed. A host that has the program from elsewhere needs no
# package.
PACKAGES = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "pebble": "pebble",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}

OTHER_WAYS = "set DIGITALOCEAN_ACCESS_TOKEN and write `cloud: digitalocean` in the course file"


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    umask: int = -1,
) -> str:
    """Run a command on the host, with ``umask`` for its files, and return its standard output.

    Raises CoursehubError with the last line of the command's standard error.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=None if env is None else dict(env),
            umask=umask,
        )
    except (FileNotFoundError, PermissionError) as error:
        # PermissionError occurs if $PATH has an unreadable directory.
        raise CoursehubError(f"{argv[0]} is not installed; run `coursehub local start` as root") from error
    if check and done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise CoursehubError(f"`{' '.join(argv[:6])}` failed: {lines[-1]}; the local cloud needs it to work")
    return done.stdout


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file.

    The holder may delete the file; the kernel releases the lock if the holder dies.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # If the file was deleted while we waited, our lock excludes nobody: others lock a new file of this name.
            if _is_at(handle.fileno(), path):
                yield
                return


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class ProcessId:
    """A process that cannot be confused with a later one with the same number.

    ``started`` is field 22 of /proc/PID/stat: clock ticks since boot (proc(5)). psutil's value, seconds since 1970,
    changes when the clock is set, and this one is stored in a file for other processes.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process with this number now; None if there is none."""
        fields = _stat(pid)
        return cls(pid, int(fields[19])) if fields else None

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[19]) == self.started and fields[0] not in "ZX"

    def signal(self, number: int) -> None:
        """Send a signal if it still runs."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command name in parentheses may contain anything; our fields come after the last parenthesis.
    return text.rpartition(")")[2].split()


def why_unavailable() -> str | None:
    """One line that says why no local cloud can run here and what to do instead; None if it can."""
    reason = None
    if os.uname().sysname != "Linux":
        reason = "it needs Linux"
    elif os.geteuid() != 0:
        reason = "it needs root (try sudo)"
    elif not shutil.which("apt-get") and missing_packages():
        reason = f"it needs {', '.join(missing_packages())}, and this host has no apt-get to install them with"
    elif not _may_make_namespaces():
        reason = "this host may not make mounts and network namespaces (an unprivileged container?)"
    return f"the local cloud cannot run here: {reason}; {OTHER_WAYS}" if reason else None


def _may_make_namespaces() -> bool:
    if not shutil.which("unshare"):
        return True
    probe = ["unshare", "--mount", "--net", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def missing_packages() -> list[str]:
    """Debian packages that the local cloud still needs on this host."""
    return [
        package
        for proof, package in PACKAGES.items()
        if not (Path(proof).exists() if proof.startswith("/") else shutil.which(proof))
    ]


def install_packages(report: Report) -> None:
    """Install what is missing, after naming it. Raises CoursehubError if apt fails."""
    missing = missing_packages()
    if not missing:
        return
    report(f"installing the Debian packages {' '.join(missing)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], env=env)
    run(
        ["apt-get", "install", "-yq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", *missing],
        env=env,
    )


def forwarding_on() -> None:
    """Enable routing in the kernel for the machines, and record if it was off before."""
    with locked(HOST_LOCK):
        if IP_FORWARD.read_text().strip() == "0":
            FORWARD_MARK.touch()
            IP_FORWARD.write_text("1\n")


def forwarding_restore() -> None:
    """Turn ip_forward off again if a local cloud had turned it on and no cloud's data is left."""
    with locked(HOST_LOCK):
        with contextlib.suppress(OSError):
            DATA_ROOT.rmdir()
        if FORWARD_MARK.exists() and not DATA_ROOT.exists():
            IP_FORWARD.write_text("0\n")
            FORWARD_MARK.unlink()


def names_of_other_clouds(mark: str) -> dict[str, str]:
    """The names in /etc/hosts that belong to other local clouds on this host, each with that cloud's key."""
    entries = [_CLOUDS_LINE.match(line) for line in HOSTS.read_text().splitlines() if not line.endswith(mark)]
    return {entry["name"]: entry["key"] for entry in entries if entry and state_of(entry["key"])}


def state_of(key: str) -> Path | None:
    """The state directory of the local cloud with this key; None if that cloud ended in any way."""
    try:
        state = Path(json.loads((DATA_ROOT / key / "network.json").read_text())["state"])
    except (OSError, ValueError, KeyError):
        return None
    # Without the directory nobody can stop that cloud by name, so no message may suggest it.
    return state if state.is_dir() else None


def _is_stale(line: str, names: Container[str]) -> bool:
    """Whether a cloud that no longer exists left this line for one of the names."""
    entry = _CLOUDS_LINE.match(line)
    return entry is not None and entry["name"] in names and not state_of(entry["key"])


def set_hosts_lines(mark: str, names: Mapping[str, str]) -> dict[str, str]:
    """Write names and addresses into /etc/hosts, in lines that end with our mark; return those that are there now.

    A name that another local cloud uses is left to it: its browser tabs must not open our machines.
    """
    with locked(HOST_LOCK):
        old = HOSTS.read_text()
        taken = names_of_other_clouds(mark)
        kept = [line for line in old.splitlines() if not line.endswith(mark) and not _is_stale(line, names)]
        written = {name: address for name, address in names.items() if name not in taken}
        ours = [f"{address} {name} {mark}" for name, address in sorted(written.items())]
        new = "\n".join([*kept, *ours]) + "\n"
        if new == old or (not ours and len(kept) == len(old.splitlines())):
            return written
        try:
            write_whole(HOSTS, new, HOSTS.stat().st_mode & 0o777)
        except OSError:
            # In a container /etc/hosts is a mount and cannot be replaced by a rename.
            with HOSTS.open("r+") as hosts:
                # Not truncated first, because other programs look up names meanwhile.
                hosts.write(new)
                hosts.truncate()
    return written
