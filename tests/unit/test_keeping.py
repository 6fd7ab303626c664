"""What is stored on the teacher's computer: keys, passwords, claims, generated pillar."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from passlib.hash import sha512_crypt

from runner.cloud import Server
from runner.cloud.userdata import user_data
from runner.errors import CoursehubError
from runner.files import write_private
from runner.people.passwords import Passwords
from runner.project import Project
from runner.saltssh import pillar
from runner.servers.access import THIN_DIR, Access, KeyPair, is_host_key_refusal
from runner.servers.claim import claim

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]
SERVER = Server(7, "phys.example.edu", "192.0.2.7", "s-1vcpu-1gb", "debian-13-x64", "fra1", "active")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def modes(directory: Path) -> set[str]:
    return {oct(stat.S_IMODE(path.stat().st_mode)) for path in directory.rglob("*") if path.is_file()}


def test_passwords_are_made_once_and_never_made_again(project: Project) -> None:
    first = Passwords(project, "phys").ensure(["a", "b"])
    second = Passwords(project, "phys").ensure(["b", "c"])
    assert second["b"] == first["b"]
    assert len({password.clear for password in (*first.values(), *second.values())}) == 3
    assert sha512_crypt.verify(first["a"].clear, first["a"].hash)
    assert set(Passwords(project, "phys").read()) == {"a", "b", "c"}
    assert modes(project.state) == {"0o600"}


def test_the_generated_pillar_has_hashes_and_no_clear_password(project: Project) -> None:
    passwords = Passwords(project, "phys").ensure(["a"])
    pillar.write_runtime(
        project,
        "phys",
        pillar.runtime(addresses=["192.0.2.7"], acme_directory=None, extra_ca={"school": "PEM"}, passwords=passwords),
    )
    text = pillar.runtime_file(project, "phys").read_text(encoding="utf-8")
    assert passwords["a"].clear not in text
    written = yaml.safe_load(text)
    assert written["accounts"]["people"]["a"]["password_hash"] == passwords["a"].hash
    assert written["letsencrypt"] == {"addresses": ["192.0.2.7"]}
    assert modes(project.state) == {"0o600"}


def test_keys_are_openssh_keys_made_once(project: Project) -> None:
    access = Access(project, "phys")
    key = access.client_key()
    assert access.client_key() == key
    derived = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(access.key_file)], capture_output=True, text=True, check=True
    )
    assert derived.stdout.split()[:2] == key.public.split()[:2]
    assert modes(project.state) == {"0o600"}


def test_ssh_checks_host_keys_always(project: Project) -> None:
    argv = Access(project, "phys").argv("192.0.2.7", "true")
    assert "StrictHostKeyChecking=yes" in argv
    assert "GlobalKnownHostsFile=/dev/null" in argv
    assert argv[-2:] == ["root@192.0.2.7", "true"]


def test_the_roster_is_written_from_the_remembered_servers(project: Project) -> None:
    access = Access(project, "phys")
    access.client_key()
    access.remember(SERVER)
    roster = yaml.safe_load((project.state / "roster").read_text(encoding="utf-8"))
    assert roster["phys"]["host"] == "192.0.2.7"
    assert roster["phys"]["thin_dir"] == THIN_DIR
    assert "StrictHostKeyChecking=yes" in roster["phys"]["ssh_options"]
    assert access.server() == SERVER
    access.forget_server()
    assert yaml.safe_load((project.state / "roster").read_text(encoding="utf-8")) == {}
    assert access.server() is None


def test_missing_or_wrong_public_key_is_made_again(project: Project) -> None:
    """OpenSSH trusts it: another pair's public key beside a private key would lock us out."""
    access = Access(project, "phys")
    key = access.client_key()
    public = access.key_file.with_name("client_key.pub")
    for damage in (public.unlink, lambda: public.write_text(KeyPair.generate("coursehub").public + "\n")):
        damage()
        assert access.client_key() == key
        assert public.read_text() == key.public + "\n"


@pytest.mark.parametrize("stage", ["old", "new"])
def test_a_killed_rotation_leaves_nothing_to_the_next_server(project: Project, stage: str) -> None:
    """A key from the last server's rotation would make the next rotation report success and change nothing."""
    access = Access(project, "phys")
    access.client_key()
    access.remember(SERVER)
    # The last one is what a kill in the middle of a write leaves.
    for name in (f"client_key.{stage}", f".client_key.{stage}.x1y2"):
        write_private(access.directory / name, "x\n")
    access.forget_server()
    assert not access.directory.exists()


def test_user_data_gives_the_host_key_and_nothing_else_to_trust() -> None:
    pair = KeyPair.generate("x")
    config = yaml.safe_load(user_data(host_private_key=pair.private, host_public_key=pair.public))
    assert config["ssh_keys"] == {"ed25519_private": pair.private, "ed25519_public": pair.public}
    assert config["ssh_genkeytypes"] == []


def test_the_second_runner_hears_who_holds_the_course(project: Project) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\nfrom pathlib import Path\n"
            "from runner.servers.claim import claim\nfrom runner.project import Project\n"
            "with claim(Project(Path(sys.argv[1])), 'phys', 'up'):\n    print('held', flush=True)\n    time.sleep(60)",
            str(project.root),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(CoursehubError, match=rf"runs 'up' on it \(process {holder.pid}"),
            claim(project, "phys", "apply"),
        ):
            pass
        with claim(project, "other", "apply"):
            pass
    finally:
        holder.kill()
        holder.wait()
    # The kernel released the dead runner's lock.
    with claim(project, "phys", "apply"):
        pass


@pytest.mark.parametrize(
    ("stderr", "refused"),
    [
        ("@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@", True),
        ("Host key verification failed.", True),
        ("ssh: connect to host 192.0.2.7 port 22: Connection timed out", False),
    ],
)
def test_changed_host_key_is_no_network_error(stderr: str, refused: bool) -> None:
    assert is_host_key_refusal(stderr) is refused


def test_a_key_that_an_interrupted_run_switched_to_stays_known(project: Project) -> None:
    """Killed after the server took its second key and before that was recorded as the only one."""
    access = Access(project, "phys")
    first, second, third = (KeyPair.generate(name).public for name in ("first", "second", "third"))
    for key in (first, second, first, third):
        access._know_too(key)
    known = access.known_hosts.read_text(encoding="utf-8").splitlines()
    assert [line.split()[2] for line in known] == [key.split()[1] for key in (first, second, third)]
    assert all(line.startswith("coursehub-phys ssh-ed25519 ") for line in known)
