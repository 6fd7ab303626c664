"""What a local cloud needs of, and changes on, this host outside its own directories."""

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
# Under /run, because the setting does not outlive a reboot either.
FORWARD_MARK = Path("/run/coursehub-ip_forward-was-off")
HOSTS = Path("/etc/hosts")
_CLOUDS_LINE = re.compile(r"^\S+ (?P<name>\S+) # coursehub-(?P<key>[0-9a-f]{8})$")

# A program that proves each Debian package present, so that a host that has it from elsewhere is left alone.
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
    """Run a command of the host, with ``umask`` for its files, and return its standard output.

    Raises CoursehubError with the command's last line of standard error.
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
        # The second one too, where $PATH has a directory that may not be read.
        raise CoursehubError(f"{argv[0]} is not installed; run `coursehub local start` as root") from error
    if check and done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise CoursehubError(f"`{' '.join(argv[:6])}` failed: {lines[-1]}; the local cloud needs it to work")
    return done.stdout


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, which its holder may delete; the kernel lets go of it when its holder dies."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Deleted while we waited, it excludes nobody: whoever comes now locks a new file of this name.
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
    """A process that cannot be mistaken for a later one with the same number.

    ``started`` is field 22 of /proc/PID/stat: clock ticks after boot (proc(5)). psutil has seconds since 1970, which
    move when the clock is set, and a file keeps this one for another process.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process that has this number now; None if none has."""
        fields = _stat(pid)
        return cls(pid, int(fields[19])) if fields else None

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[19]) == self.started and fields[0] not in "ZX"

    def signal(self, number: int) -> None:
        """Send a signal, unless it is gone."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name, in parentheses, may hold anything; what we read comes after the last one.
    return text.rpartition(")")[2].split()


def why_unavailable() -> str | None:
    """One line that says why no local cloud can run here and names the other ways; None if one can."""
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
    """Install what is missing, naming it first. Raises CoursehubError when apt cannot."""
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
    """Let the kernel route for the machines, and remember if it did not before."""
    with locked(HOST_LOCK):
        if IP_FORWARD.read_text().strip() == "0":
            FORWARD_MARK.touch()
            IP_FORWARD.write_text("1\n")


def forwarding_restore() -> None:
    """Put ip_forward back if a local cloud had set it and no cloud's data is left."""
    with locked(HOST_LOCK):
        with contextlib.suppress(OSError):
            DATA_ROOT.rmdir()
        if FORWARD_MARK.exists() and not DATA_ROOT.exists():
            IP_FORWARD.write_text("0\n")
            FORWARD_MARK.unlink()


def names_of_other_clouds(mark: str) -> dict[str, str]:
    """The names in /etc/hosts that belong to other local clouds of this host, each with that cloud's key."""
    entries = [_CLOUDS_LINE.match(line) for line in HOSTS.read_text().splitlines() if not line.endswith(mark)]
    return {entry["name"]: entry["key"] for entry in entries if entry and state_of(entry["key"])}


def state_of(key: str) -> Path | None:
    """The state directory of the local cloud with this key; None for one that has ended, however that went."""
    try:
        state = Path(json.loads((DATA_ROOT / key / "network.json").read_text())["state"])
    except (OSError, ValueError, KeyError):
        return None
    # Without it nobody can stop that cloud by name any more, so nobody shall be sent to do it.
    return state if state.is_dir() else None


def _is_stale(line: str, names: Container[str]) -> bool:
    """Whether a cloud that is no more left this line for one of the names."""
    entry = _CLOUDS_LINE.match(line)
    return entry is not None and entry["name"] in names and not state_of(entry["key"])


def set_hosts_lines(mark: str, names: Mapping[str, str]) -> dict[str, str]:
    """Make /etc/hosts carry these names (name to address) in lines that end with the mark; which ones it carries now.

    A name that another local cloud has is left to it: its browser tabs must not end up at our machines.
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
            # In a container /etc/hosts is a mount, which cannot be renamed over.
            with HOSTS.open("r+") as hosts:
                # Not emptied first: other programs look up names meanwhile.
                hosts.write(new)
                hosts.truncate()
    return written
