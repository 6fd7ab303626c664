"""SSH to a course's server: keys made on this computer, host keys known before the first connection."""

from __future__ import annotations

import fcntl
import json
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runner.agreed import PATHS
from runner.cloud import Server, maker
from runner.errors import CoursehubError
from runner.files import write_private
from runner.project import Project

#: Seconds from the cloud's "active" to sshd's first answer; a droplet needs about 20.
SSH_SECONDS = 180
#: Seconds that cloud-init may take, including some minutes for another process that holds dpkg's lock.
CLOUD_INIT_SECONDS = 600
#: A Unix socket's path has at most 107 bytes; ssh adds 18 while it creates it.
_SOCKET_PATH = 107 - 18
#: The directory where salt-ssh unpacks itself. Its default below /var/tmp is writable by every student.
THIN_DIR = PATHS["shipped"]

_FIRST_CONTACT = """
set -eu
umask 077
timeout %(seconds)d cloud-init status --wait >/dev/null 2>&1 || true
new=/etc/ssh/coursehub_new_host_key
if [ ! -s "$new.pub" ]; then
    rm -f "$new"
    ssh-keygen -q -t ed25519 -N '' -C coursehub -f "$new"
fi
cat "$new.pub"
"""

_SWITCH_HOST_KEY = """
set -eu
new=/etc/ssh/coursehub_new_host_key
chmod 0644 "$new.pub"
mv -f "$new" /etc/ssh/ssh_host_ed25519_key
mv -f "$new.pub" /etc/ssh/ssh_host_ed25519_key.pub
find /var/lib/cloud/instances \\( -name 'user-data*' -o -name 'cloud-config*' \\) -type f -delete
# Emptied, not deleted: without its seed cloud-init takes the server for a new one and makes new host keys.
seed=/var/lib/cloud/seed/nocloud/user-data
if [ -e "$seed" ]; then echo '#cloud-config' > "$seed"; fi
systemctl reload ssh
"""


class HostKeyRefused(CoursehubError):
    """The server shows another host key than the known one; nothing was sent."""


@dataclass(frozen=True)
class KeyPair:
    """An ed25519 key in OpenSSH's formats: the private key as PEM text, the public key as one line."""

    private: str
    public: str

    @classmethod
    def generate(cls, comment: str) -> KeyPair:
        """Make a new key in this process."""
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode()
        return cls.of(private, comment)

    @classmethod
    def of(cls, private: str, comment: str) -> KeyPair:
        """The key pair for a private key."""
        half = serialization.load_ssh_private_key(private.encode(), None).public_key()
        public = half.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
        return cls(private, f"{public} {comment}")


class Access:
    """Everything for access to one course's server, stored in ``.coursehub/servers/<course>/``."""

    def __init__(self, project: Project, course_id: str) -> None:
        self.project = project
        self.course_id = course_id
        self.directory = project.state / "servers" / course_id
        self.key_file = self.directory / "client_key"
        #: Both exist only while the key is changed, see runner/verbs/secrets.py.
        self.new_key_file = self.directory / "client_key.new"
        self.old_key_file = self.directory / "client_key.old"
        self.known_hosts = self.directory / "known_hosts"
        self._host_key = self.directory / "first_host_key"
        #: What salt-ssh shipped last, see runner/saltssh/shipped.py.
        self.shipped = self.directory / "shipped.json"
        #: The course file's content at the last apply, see runner/verbs/changes.py.
        self.applied = self.directory / "applied.json"
        self._record = self.directory / "server.json"
        self._order = self.directory / "order.json"
        self._names = self.directory / "names.json"
        #: The cloud and account in which the server was made, see runner/servers/birthplace.py.
        self.birthplace = self.directory / "birthplace.json"
        self._shared = self.directory / "ssh"

    def client_key(self) -> KeyPair:
        """The key for SSH to the course's servers, made at the first call."""
        return self._kept(self.key_file, "coursehub")

    def first_host_key(self) -> KeyPair:
        """The host key that a new server gets through its user-data, made at the first call."""
        return self._kept(self._host_key, "coursehub")

    def has_first_host_key(self) -> bool:
        """Whether a server was ordered but not contacted yet."""
        return self._host_key.exists()

    def changes_key(self) -> bool:
        """Whether a change of the client key was started and not finished."""
        return self.new_key_file.exists() or self.old_key_file.exists()

    def _kept(self, path: Path, comment: str) -> KeyPair:
        if not path.is_file():
            write_private(path, KeyPair.generate(comment).private)
        pair = KeyPair.of(path.read_text(encoding="utf-8"), comment)
        # OpenSSH trusts a .pub file next to a key, even if it belongs to another key.
        public = path.with_name(f"{path.name}.pub")
        if not public.is_file() or public.read_text(encoding="utf-8").strip() != pair.public:
            write_private(public, pair.public + "\n")
        return pair

    def begin_order(self, name: str) -> None:
        """Record that a server with this name will be ordered; the answer may never arrive."""
        write_private(self._order, json.dumps({"name": name, "began": time.time(), "sent": time.time()}))

    def order_unanswered(self) -> None:
        """Record that the order was just sent; the server may appear from now on."""
        begun = self.order_begun()
        if begun:
            write_private(self._order, json.dumps({"name": begun[0], "began": begun[1], "sent": time.time()}))

    def order_begun(self) -> tuple[str, float, float] | None:
        """The unfinished order: its name, when it began, and when it was last sent; None if there is none.

        Times are in seconds since 1970.
        """
        try:
            order = json.loads(self._order.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return order["name"], order["began"], order["sent"]

    def remember(self, server: Server) -> None:
        """Store the server's id and address and update salt-ssh's roster. This ends the order."""
        write_private(self._record, json.dumps(asdict(server)))
        self._order.unlink(missing_ok=True)
        write_roster(self.project)

    def server(self) -> Server | None:
        """The stored server, or None."""
        try:
            return Server(**json.loads(self._record.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def remember_names(self, hostnames: Iterable[str]) -> None:
        """Store names before they are written into DNS: ``down`` removes all of them later."""
        known = self.names()
        names = [*known, *(name for name in hostnames if name not in known)]
        if names != known:
            write_private(self._names, json.dumps(names))

    def names(self) -> list[str]:
        """All names that were written into DNS for this server, oldest first."""
        try:
            return list(json.loads(self._names.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return []

    def forget_server(self) -> None:
        """Delete everything about a deleted server; the next one gets new keys."""
        self.forget_old_server()
        self._names.unlink(missing_ok=True)
        for path in self.directory.glob(f"*{self.key_file.name}*"):
            path.unlink(missing_ok=True)
        if self.directory.is_dir() and not any(self.directory.iterdir()):
            self.directory.rmdir()
        write_roster(self.project)

    def has_keys(self, server: Server) -> bool:
        """Whether this computer ordered or contacted this server; otherwise it must not change or delete it."""
        if not (self.known_hosts.exists() or self.has_first_host_key()):
            return False
        remembered = self.server()
        if remembered is not None:
            return remembered.id == server.id
        # The order's answer was lost. The server's tags may not be there yet.
        return server.made_by in ("", maker())

    def forget_old_server(self) -> None:
        """Before an order, if no earlier droplet can exist: delete what belonged to that droplet.

        Its host key would make SSH refuse the new one, and an unfinished change of its client key would be continued
        there.
        """
        files = (self._record, self._order, self.known_hosts, self._host_key, self.shipped, self.applied)
        for path in (*files, self.birthplace, self.new_key_file, self.old_key_file):
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.pub").unlink(missing_ok=True)

    def _know_too(self, public_key: str) -> None:
        known = self.known_hosts.read_text(encoding="utf-8") if self.known_hosts.exists() else ""
        keys = [line.partition(" ")[2] for line in known.splitlines()]
        self._know(*keys, *([] if public_key.split()[1] in known else [public_key]))

    def _know(self, *public_keys: str) -> None:
        lines = [f"{self.alias} {' '.join(key.split()[:2])}\n" for key in public_keys]
        write_private(self.known_hosts, "".join(lines))

    @property
    def alias(self) -> str:
        """The name for the host key: the course, because droplets exchange addresses."""
        return f"coursehub-{self.course_id}"

    def options(self) -> list[str]:
        """OpenSSH options (``Key=value``) for the runner and salt-ssh."""
        return [
            f"UserKnownHostsFile={self.known_hosts}",
            "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes",
            f"HostKeyAlias={self.alias}",
            "HostKeyAlgorithms=ssh-ed25519",
            "UpdateHostKeys=no",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            # Every two seconds: a command on a shared connection sometimes ends only at the next of these (OpenSSH 9.2;
            # one of twenty highstates lasted 10 s longer with an interval of 10).
            "ServerAliveInterval=2",
            "ServerAliveCountMax=15",
            "LogLevel=ERROR",
            *([f"ControlPath={self._shared}"] if len(str(self._shared)) <= _SOCKET_PATH else []),
        ]

    def argv(self, ip: str, *command: str, tty: bool = False, share: bool = False) -> list[str]:
        """The ssh command line for ``command`` on the server (without one: a login shell).

        With ``share``, all other ssh commands to the server, also salt-ssh's, use its connection until it ends.
        """
        options = [part for option in (*self.options(), "ConnectTimeout=10") for part in ("-o", option)]
        options += ["-t"] * tty + ["-o", "ControlMaster=auto"] * share
        return ["ssh", "-i", str(self.key_file), *options, f"root@{ip}", *command]

    def run(self, ip: str, script: str, *, seconds: int = 60) -> str:
        """Run a shell script (through standard input, never argv) as root; return its output.

        Raises CoursehubError if SSH or the script fails.
        """
        result = self._ssh(ip, script, seconds)
        if result.returncode:
            raise self._ssh_error(ip, result)
        return result.stdout

    def _ssh(self, ip: str, script: str, seconds: int) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                self.argv(ip, "/bin/sh", "-s"),
                input=script,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess([], 255, "", f"no answer within {seconds} s")

    def _ssh_error(self, ip: str, result: subprocess.CompletedProcess[str]) -> CoursehubError:
        return ssh_error(self.course_id, ip, result.stderr)

    def wait_for_ssh(self, ip: str, progress: Callable[[str], None], seconds: int | None = None) -> None:
        """Wait until SSH works. A wrong host key ends the wait at once."""
        seconds = SSH_SECONDS if seconds is None else seconds
        deadline = time.monotonic() + seconds
        while True:
            result = self._ssh(ip, "true", 20)
            if result.returncode == 0:
                return
            if is_host_key_refusal(result.stderr):
                raise self._ssh_error(ip, result)
            if time.monotonic() > deadline:
                last = (result.stderr.strip().splitlines() or ["no answer"])[-1]
                raise CoursehubError(
                    f"{self.course_id}: SSH on {ip} does not answer after {seconds} s ({last}); run 'coursehub up "
                    f"{self.course_id}' again; only if that never helps, 'coursehub down {self.course_id}' (deletes "
                    "the files on it) and up make a new server"
                )
            progress(f"waiting for SSH on {ip}")
            time.sleep(0.3)

    def first_contact(self, ip: str, progress: Callable[[str], None]) -> None:
        """Contact a new server: verify it by the host key that we gave it, wait for cloud-init, then replace that key.

        The key in the user-data stays readable in the cloud's metadata, so it is used only for this one connection.
        Each step can be repeated: until the last step both keys are known.
        """
        if not self._host_key.exists() and self.known_hosts.exists():
            self.wait_for_ssh(ip, progress)
            return
        first = self.first_host_key().public
        self._know_too(first)
        self.wait_for_ssh(ip, progress)
        progress("waiting for cloud-init")
        new = self.run(ip, _FIRST_CONTACT % {"seconds": CLOUD_INIT_SECONDS}, seconds=CLOUD_INIT_SECONDS + 30).strip()
        if not new.startswith("ssh-ed25519 "):
            raise CoursehubError(
                f"{self.course_id}: the server gave no new host key; run 'coursehub up {self.course_id}' again"
            )
        # An earlier run may have switched to a new key and died; both stay known until the end.
        self._know_too(new)
        self.run(ip, _SWITCH_HOST_KEY)
        self._know(new)
        self.wait_for_ssh(ip, progress, 30)
        self._host_key.unlink(missing_ok=True)
        self._host_key.with_name(f"{self._host_key.name}.pub").unlink(missing_ok=True)


def is_host_key_refusal(stderr: str) -> bool:
    """Whether OpenSSH refused the server because of its host key."""
    return "Host key verification failed" in stderr or "REMOTE HOST IDENTIFICATION HAS CHANGED" in stderr


def is_silence(stderr: str) -> bool:
    """Whether no SSH server answered, as while a machine boots. A refused key is an answer."""
    return any(
        words in stderr
        for words in ("Connection refused", "timed out", "No route to host", "Connection reset", "Connection closed")
    )


def ssh_error(course_id: str, ip: str, stderr: str) -> CoursehubError:
    """OpenSSH's error message as one line."""
    if is_host_key_refusal(stderr):
        return HostKeyRefused(
            f"{course_id}: the server at {ip} shows another host key than the known one: it is not our server, or "
            "somebody intercepts the connection. Nothing was sent. If you rebuilt it yourself: 'coursehub down "
            f"{course_id}', then up"
        )
    last = (stderr.strip().splitlines() or ["no answer"])[-1]
    return CoursehubError(
        f"{course_id}: SSH to {ip} failed ({last}); 'coursehub status {course_id}' shows whether the server is on"
    )


def write_roster(project: Project) -> None:
    """Write salt-ssh's roster from the stored servers."""
    with (project.state / "roster.lock").open("a") as lock:
        # Two courses may run ``up`` at the same time. The lock covers listing and writing, so no server is lost.
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_private(project.state / "roster", yaml.safe_dump(_roster(project)))


def _roster(project: Project) -> dict[str, object]:
    roster: dict[str, object] = {}
    for directory in sorted((project.state / "servers").glob("*/")):
        access = Access(project, directory.name)
        server = access.server()
        if server is None or not server.ip:
            continue
        roster[access.course_id] = {
            "host": server.ip,
            "user": "root",
            "priv": str(access.key_file),
            "timeout": 20,
            "thin_dir": THIN_DIR,
            "ssh_options": access.options(),
        }
    return roster
