"""SSH to a course's server: keys that are made here, host keys that are known before the first connection."""

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

from runner.cloud import Server, maker
from runner.errors import CoursehubError
from runner.files import write_private
from runner.project import Project

#: Seconds from the cloud's "active" to sshd's first answer; a droplet needs about 20.
SSH_SECONDS = 180
#: Seconds that cloud-init may take, also when another dpkg holds the lock for some minutes.
CLOUD_INIT_SECONDS = 600
#: A Unix socket's path has 107 bytes, of which ssh wants 18 for the name it makes it under.
_SOCKET_PATH = 107 - 18
#: Where salt-ssh unpacks itself: below /var/lib and not its default below /var/tmp, which every student can write to.
THIN_DIR = "/var/lib/coursehub-salt"

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
    """The server shows another host key than the one that is known: nothing was sent."""


@dataclass(frozen=True)
class KeyPair:
    """An ed25519 key in OpenSSH's formats: the private one as PEM text, the public one as one line."""

    private: str
    public: str

    @classmethod
    def generate(cls, comment: str) -> KeyPair:
        """A new key, made in this process."""
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode()
        return cls.of(private, comment)

    @classmethod
    def of(cls, private: str, comment: str) -> KeyPair:
        """The key whose private half is given."""
        half = serialization.load_ssh_private_key(private.encode(), None).public_key()
        public = half.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
        return cls(private, f"{public} {comment}")


class Access:
    """All that is kept to reach one course's server, below ``.coursehub/servers/<course>/``."""

    def __init__(self, project: Project, course_id: str) -> None:
        self.project = project
        self.course_id = course_id
        self.directory = project.state / "servers" / course_id
        self.key_file = self.directory / "client_key"
        #: Both only while the key is changed, see runner/verbs/secrets.py.
        self.new_key_file = self.directory / "client_key.new"
        self.old_key_file = self.directory / "client_key.old"
        self.known_hosts = self.directory / "known_hosts"
        self._host_key = self.directory / "first_host_key"
        #: What salt-ssh shipped last, see runner/saltssh/shipped.py.
        self.shipped = self.directory / "shipped.json"
        #: What the course file said at the last apply, see runner/verbs/changes.py.
        self.applied = self.directory / "applied.json"
        self._record = self.directory / "server.json"
        self._order = self.directory / "order.json"
        self._names = self.directory / "names.json"
        #: In which cloud and account the server was made, see runner/servers/birthplace.py.
        self.birthplace = self.directory / "birthplace.json"
        self._shared = self.directory / "ssh"

    # -- what is kept ------------------------------------------------------------------------------------

    def client_key(self) -> KeyPair:
        """The key that opens the course's servers, made at the first call."""
        return self._kept(self.key_file, "coursehub")

    def first_host_key(self) -> KeyPair:
        """The host key that a new server gets through its user-data, made at the first call."""
        return self._kept(self._host_key, "coursehub")

    def has_first_host_key(self) -> bool:
        """Whether a server was ordered that we have not met yet."""
        return self._host_key.exists()

    def changes_key(self) -> bool:
        """Whether a change of the client key was begun that has not come to its end."""
        return self.new_key_file.exists() or self.old_key_file.exists()

    def _kept(self, path: Path, comment: str) -> KeyPair:
        if not path.is_file():
            write_private(path, KeyPair.generate(comment).private)
        pair = KeyPair.of(path.read_text(encoding="utf-8"), comment)
        # OpenSSH believes a .pub that lies beside a key, even one of another key.
        public = path.with_name(f"{path.name}.pub")
        if not public.is_file() or public.read_text(encoding="utf-8").strip() != pair.public:
            write_private(public, pair.public + "\n")
        return pair

    def begin_order(self, name: str) -> None:
        """Keep that a server of this name is ordered, before it is: the answer may never come."""
        write_private(self._order, json.dumps({"name": name, "began": time.time(), "sent": time.time()}))

    def order_unanswered(self) -> None:
        """Keep that the order was sent until now: from now on the server may turn up."""
        begun = self.order_begun()
        if begun:
            write_private(self._order, json.dumps({"name": begun[0], "began": begun[1], "sent": time.time()}))

    def order_begun(self) -> tuple[str, float, float] | None:
        """Of an order whose outcome is not known: name, when it began and when it was sent last; None without one.

        Times are seconds since 1970.
        """
        try:
            order = json.loads(self._order.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return order["name"], order["began"], order["sent"]

    def remember(self, server: Server) -> None:
        """Keep the server's id and address, and salt-ssh's roster with it. An order has come to its end by that."""
        write_private(self._record, json.dumps(asdict(server)))
        self._order.unlink(missing_ok=True)
        write_roster(self.project)

    def server(self) -> Server | None:
        """The server as it was remembered, or None."""
        try:
            return Server(**json.loads(self._record.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def remember_names(self, hostnames: Iterable[str]) -> None:
        """Keep names before they are written into DNS: ``down`` removes them, whatever the course file says by then."""
        known = self.names()
        names = [*known, *(name for name in hostnames if name not in known)]
        if names != known:
            write_private(self._names, json.dumps(names))

    def names(self) -> list[str]:
        """All names that DNS was given for this server, the oldest first."""
        try:
            return list(json.loads(self._names.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return []

    def forget_server(self) -> None:
        """Drop everything that belongs to a server that is gone; the next one gets keys of its own."""
        self.forget_old_server()
        self._names.unlink(missing_ok=True)
        for path in self.directory.glob(f"*{self.key_file.name}*"):
            path.unlink(missing_ok=True)
        if self.directory.is_dir() and not any(self.directory.iterdir()):
            self.directory.rmdir()
        write_roster(self.project)

    def has_keys(self, server: Server) -> bool:
        """Whether this computer ordered or met this very server: only then may it change or delete it."""
        if not (self.known_hosts.exists() or self.has_first_host_key()):
            return False
        remembered = self.server()
        if remembered is not None:
            return remembered.id == server.id
        # Ordered, and the answer was lost. Its tags may not be there yet.
        return server.made_by in ("", maker())

    def forget_old_server(self) -> None:
        """Before an order, when no earlier droplet can exist: drop what was true of that droplet alone.

        Its host key would refuse the new one, and a half-done change of its client key would be gone on with there.
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

    # -- ssh ---------------------------------------------------------------------------------------------

    @property
    def alias(self) -> str:
        """The name that the host key is kept under: the course, as addresses change hands between droplets."""
        return f"coursehub-{self.course_id}"

    def options(self) -> list[str]:
        """OpenSSH options (``Key=value``) that runner and salt-ssh share."""
        return [
            f"UserKnownHostsFile={self.known_hosts}",
            "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes",
            f"HostKeyAlias={self.alias}",
            "HostKeyAlgorithms=ssh-ed25519",
            "UpdateHostKeys=no",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "ServerAliveInterval=10",
            "ServerAliveCountMax=3",
            "LogLevel=ERROR",
            *([f"ControlPath={self._shared}"] if len(str(self._shared)) <= _SOCKET_PATH else []),
        ]

    def argv(self, ip: str, *command: str, tty: bool = False, share: bool = False) -> list[str]:
        """The ssh command line for ``command`` on the server (a login shell without one).

        With ``share`` its connection serves every other ssh to the server, salt-ssh's too, until it ends.
        """
        options = [part for option in (*self.options(), "ConnectTimeout=10") for part in ("-o", option)]
        options += ["-t"] * tty + ["-o", "ControlMaster=auto"] * share
        return ["ssh", "-i", str(self.key_file), *options, f"root@{ip}", *command]

    def run(self, ip: str, script: str, *, seconds: int = 60) -> str:
        """Run a shell script (through standard input, never argv) as root and return what it printed.

        Raises CoursehubError when SSH refuses or the script fails.
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
        """Wait until the server lets us in. A wrong host key ends the wait at once."""
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
        """Meet a new server: verify it by the key that it was given, wait for cloud-init, change that key.

        The key given through user-data can be read in the cloud's metadata for ever, so it serves for this one
        connection only. Each step can be repeated: until the last one both keys are known.
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
        # An earlier run may have switched to a key of its own and died: what is known stays until the end.
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
    """Whether OpenSSH found no server that answers, as while a machine boots; a refused key is an answer."""
    return any(
        words in stderr
        for words in ("Connection refused", "timed out", "No route to host", "Connection reset", "Connection closed")
    )


def ssh_error(course_id: str, ip: str, stderr: str) -> CoursehubError:
    """One line for what OpenSSH said."""
    if is_host_key_refusal(stderr):
        return HostKeyRefused(
            f"{course_id}: the server at {ip} shows another host key than the one we know: it is not our server, or "
            f"somebody stands in between. Nothing was sent. If you rebuilt it yourself: 'coursehub down {course_id}', "
            "then up"
        )
    last = (stderr.strip().splitlines() or ["no answer"])[-1]
    return CoursehubError(
        f"{course_id}: SSH to {ip} failed ({last}); 'coursehub status {course_id}' shows whether the server is on"
    )


def write_roster(project: Project) -> None:
    """Write salt-ssh's roster from the servers that are remembered."""
    with (project.state / "roster.lock").open("a") as lock:
        # Two courses may be brought up at once: who lists first must also write first.
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
