"""Course material on a real hub: from a git host by the printed link into a student's home, and data for everybody.

The public repository is on an HTTPS server in the local cloud's network; the private one is behind a real sshd (the
machine's own), which allows the deploy key only to fetch it.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as seen

from runner.hub.client import HubClient
from tests.machine.test_hub import OTHER, STUDENT
from tests.support.authority import Authority
from tests.support.browser import browser, press, shoot, sign_in, until, wait
from tests.support.hub import Hub
from tests.support.machine import Machine
from tests.support.pulled import click
from tests.support.serving import in_background

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(1200)]

PORT = 9445
TODAY = "+%Y-%m-%d"


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Trial:
    """The demo course with a public and a private repository; ``website`` can be stopped and started."""

    hub: Hub
    directory: Path
    name: str
    address: str
    authority: Authority
    website: http.server.ThreadingHTTPServer | None = None
    #: The first apply with repositories: what was refused before it, what printed the links, and how it ended.
    refused: subprocess.CompletedProcess[str] | None = None
    document: dict[str, Any] = field(default_factory=dict)
    outcome: dict[str, Any] = field(default_factory=dict)
    restarted: str = ""

    def open(self) -> None:
        handler = functools.partial(_Files, directory=str(self.directory / "public"))
        self.website = http.server.ThreadingHTTPServer((self.address, PORT), handler)
        context = self.authority.server_context(self.name)
        self.website.socket = context.wrap_socket(self.website.socket, server_side=True)
        in_background(self.website)

    def close(self) -> None:
        if self.website:
            self.website.shutdown()
            self.website.server_close()
            self.website = None

    def git(self, *words: str, where: Path | None = None) -> str:
        argv = ["git", "-c", "user.name=t", "-c", "user.email=t@example.edu", *words]
        # The private repository belongs to an account on the machine.
        env = {**os.environ, "GIT_CONFIG_GLOBAL": str(self.directory / "gitconfig")}
        return subprocess.run(
            argv, cwd=where or self.directory, env=env, capture_output=True, text=True, check=True
        ).stdout

    def publish(self, repository: str, **files: str) -> None:
        """Publish a new version at the git host."""
        copy = self.directory / repository
        for name, content in files.items():
            (copy / f"{name}.py").write_text(content)
        self.git("add", "-A", where=copy)
        self.git("commit", "-q", "-m", "x", where=copy)
        self.git("push", "-q", "origin", "HEAD", where=copy)
        if repository == "labs":
            self.git("update-server-info", where=self.directory / "public" / "labs.git")

    def newest(self, repository: str) -> str:
        """The last published commit."""
        return self.git("rev-parse", "HEAD", where=self.directory / repository).strip()

    def lab(self, repository: str) -> str:
        """The newest version of ``lab1.py``."""
        return (self.directory / repository / "lab1.py").read_text(encoding="utf-8")

    def fetch(self, as_it_is: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Run what the timer does each minute; return the result.

        A start joins a running fetch, which may have asked the git host before the test changed it. If the result does
        not satisfy ``as_it_is``, it is run again.
        """
        for _ in range(3):
            self.hub.run("systemctl start coursehub-material.service")
            status: dict[str, Any] = json.loads(self.hub.run("cat /var/lib/coursehub-material/status.json"))
            if as_it_is(status):
                break
        return status

    def apply(self, exit_code: int = 0) -> dict[str, Any]:
        return self.hub.sandbox.json("apply", "demo", exit_code=exit_code)["courses"]["demo"]

    def link(self, repository: str) -> str:
        """The printed link, as a path at the hub."""
        (one,) = [one for one in self.document["repositories"] if one["name"] == repository]
        parts = urlsplit(one["link"])
        assert f"{parts.scheme}://{parts.netloc}" == f"https://{self.hub.document['hostname']}"
        return f"{parts.path}?{parts.query}"


@pytest.fixture(scope="module")
def trial(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    project = hub.sandbox.project
    files = [project.course_file("demo"), project.root / "pillar" / "site.sls"]
    before = {path: path.read_text(encoding="utf-8") for path in files}
    directory = tmp_path_factory.mktemp("material")
    (directory / "gitconfig").write_text("[safe]\n\tdirectory = *\n")
    private = Machine.of(hub.sandbox, "demo").root / "srv/git/projects.git"
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("COURSEHUB_KEYS", str(directory / "keys"))
        made = Trial(hub, directory, *stack.enter_context(hub.elsewhere("git")), Authority(directory))
        made.open()
        stack.callback(made.close)
        stack.callback(
            hub.run,
            f"pkill -u git; userdel --remove git\nrm -rf /srv/git /home/{STUDENT}/labs /home/{STUDENT}/projects",
        )
        hub.run("useradd --system --create-home --shell /bin/sh git && usermod -p '*' git && mkdir -m 0755 /srv/git")
        for repository, bare in (("labs", directory / "public" / "labs.git"), ("projects", private)):
            made.git("init", "-q", "--bare", "-b", "main", str(bare))
            made.git("clone", "-q", str(bare), repository)
            made.git("checkout", "-q", "-b", "main", where=directory / repository)
            made.git("checkout", "-q", "-b", "solutions", where=directory / repository)
            made.publish(repository, answer="42\n")
            made.git("checkout", "-q", "--orphan", "main", where=directory / repository)
            made.git("rm", "-q", "-rf", ".", where=directory / repository)
            made.publish(repository, lab1="a = 1\nb = 2\n", lab2="x = 1\n")
        hub.run("chown -R git: /srv/git/projects.git")
        stack.callback(hub.sandbox.json, "apply", "demo")
        stack.callback(shutil.rmtree, project.secrets, ignore_errors=True)
        for path, text in before.items():
            stack.callback(path.write_text, text, encoding="utf-8")
        first_apply(made)
        yield made


def first_apply(trial: Trial) -> None:
    """Like a teacher: a missing deploy key is refused, one verb makes it, and it is added at the git host."""
    describe(trial)
    trial.refused = trial.hub.sandbox.run("apply", "demo")
    trial.document = trial.hub.sandbox.json("material", "demo")
    (private,) = [one["deploy_key"] for one in trial.document["repositories"] if one["deploy_key"]]
    only = 'restrict,command="git-shell -c \\"$SSH_ORIGINAL_COMMAND\\""'
    trial.hub.run(
        "install -d -m 0700 -o git ~git/.ssh\n"
        f"cat > ~git/.ssh/authorized_keys <<'END'\n{only} {private['public']}\nEND\n"
        "chown git: ~git/.ssh/authorized_keys"
    )
    running = "systemctl show -p MainPID,ExecMainStartTimestamp jupyterhub jupyterhub-proxy nginx"
    before = trial.hub.run(running)
    trial.outcome = trial.apply()
    after = trial.hub.run(running)
    trial.restarted = "" if after == before else f"{before}\n{after}"


def describe(trial: Trial, **changes: Any) -> None:
    """Write the course's material into its file, and the school's pillar."""
    host_key = " ".join(trial.hub.run("cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
    private = f"ssh://git@{trial.hub.document['hostname']}/srv/git/projects.git"
    repositories = [
        {"name": "labs", "url": f"https://{trial.name}:{PORT}/labs.git", "open": "lab1.py", **changes},
        {"name": "projects", "url": private, "host_key": host_key},
    ]
    project = trial.hub.sandbox.project
    path = project.course_file("demo")
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["course"]["material"]["repositories"] = repositories
    path.write_text("#!yaml\n" + yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    site = project.root / "pillar" / "site.sls"
    kept = site.read_text(encoding="utf-8").partition("# of a test\n")[0]
    pillar = {"base": {"extra_ca": {"test-git": trial.authority.bundle.read_text(encoding="ascii")}}}
    site.write_text(f"{kept}# of a test\n{yaml.safe_dump(pillar)}", encoding="utf-8")


@contextlib.contextmanager
def at_work(hub: Hub, account: str = STUDENT) -> Iterator[HubClient]:
    with hub.sandbox.client(hub.document, account) as client:
        try:
            client.start_server()
            yield client
        finally:
            client.stop_server()


@contextlib.contextmanager
def with_copies(trial: Trial) -> Iterator[HubClient]:
    """A student at work with new copies of both repositories."""
    trial.hub.run(f"rm -rf /home/{STUDENT}/labs /home/{STUDENT}/projects")
    with at_work(trial.hub) as client:
        for repository in ("labs", "projects"):
            assert click(client.get, trial.link(repository)).status_code == 302
        yield client


def test_a_data_set_is_there_once_for_everybody(hub: Hub) -> None:
    """The demo course has one; only root can change it."""
    with at_work(hub) as client, client.kernel() as kernel:
        told = kernel.run(
            "import os, pandas, pathlib\n"
            "table = pandas.read_csv(pathlib.Path.home() / 'data/falling-ball.csv')\n"
            "print(list(table.columns), os.path.realpath(pathlib.Path.home() / 'data'))\n"
            "for what in ('data/falling-ball.csv', 'data/new.csv'):\n"
            "    try:\n        open(pathlib.Path.home() / what, 'w')\n"
            "    except OSError as problem:\n        print(type(problem).__name__)"
        )
    assert told.splitlines() == ["['time_s', 'height_m'] /srv/class/data", "PermissionError", "PermissionError"]
    assert hub.run("find / /srv/class -xdev -name falling-ball.csv -not -path '*coursehub-salt*'").split() == [
        "/srv/class/data/falling-ball.csv"
    ]
    assert hub.run("stat -c '%U:%G %a' /srv/class/data /srv/class/data/falling-ball.csv").splitlines() == [
        "root:class 750", "root:root 644",
    ]  # fmt: skip
    assert "Permission denied" in hub.run("runuser -u nobody -- ls /srv/class/data/ 2>&1 || true")


def test_the_deploy_key_comes_first(trial: Trial) -> None:
    """Without it no server is changed; one command makes it and says where to paste it."""
    assert trial.refused is not None
    assert trial.refused.returncode == 2
    assert "projects needs a deploy key; run 'coursehub material demo'" in trial.refused.stderr
    assert [one["deploy_key"]["new"] for one in trial.document["repositories"] if one["deploy_key"]] == [True]
    assert trial.outcome["failed"] == 0
    assert "material.mirrored" in {change["state"] for change in trial.outcome["changes"]}
    assert trial.restarted == "", "material restarts nothing"


def test_a_second_apply_changes_nothing(trial: Trial) -> None:
    outcome = trial.apply()
    assert (outcome["changed"], outcome["changes"]) == (0, [])


def test_students_read_the_mirror_but_not_the_key(trial: Trial) -> None:
    told = trial.hub.run(
        f"""
        as_student() {{ runuser -u {STUDENT} -- env HOME=/home/{STUDENT} sh -c "$1" 2>&1; echo "=> $?"; }}
        as_student 'cat /etc/coursehub-material/keys/projects'
        as_student 'ls /etc/coursehub-material/keys'
        as_student 'touch /srv/class/material/projects/HEAD.lock'
        as_student 'touch /srv/class/material/new'
        as_student 'ls /var/lib/coursehub-material'
        as_student 'git ls-remote file:///srv/class/material/projects | cut -f 2'
        runuser -u nobody -- ls /srv/class/material 2>&1
        stat -c '%U %a' /etc/coursehub-material/keys /etc/coursehub-material/keys/projects
        grep -rl 'OPENSSH PRIVATE KEY' /etc /srv /home 2>/dev/null | grep -v ssh_host || true
        """
    )
    assert told.count("=> 0") == 1, told
    # Only the branch that students get.
    assert "HEAD\nrefs/heads/main\n=> 0" in told, told
    assert "solutions" not in told
    assert "class-material 700\nclass-material 400" in told
    assert told.rstrip().splitlines()[-1] == "/etc/coursehub-material/keys/projects", told


def test_a_student_gets_it_by_the_printed_link(trial: Trial) -> None:
    trial.hub.run(f"rm -rf /home/{STUDENT}/labs /home/{STUDENT}/projects")
    with at_work(trial.hub) as client:
        for repository, opens in (("labs", "labs/lab1.py"), ("projects", "projects")):
            arrived = click(client.get, trial.link(repository))
            assert arrived.status_code == 302, arrived.text
            assert arrived.headers["Location"] == f"/user/{STUDENT}/lab/tree/{opens}"
        assert client.api("GET", "/api/contents/labs/lab1.py").json()["content"] == trial.lab("labs")
    owners = trial.hub.run(f"find /home/{STUDENT}/labs /home/{STUDENT}/projects -printf '%u %g %m\\n' | sort -u")
    # A student's group has no other member.
    assert {tuple(line.split()[:2]) for line in owners.splitlines()} == {(STUDENT, STUDENT)}, owners
    assert all(int(line.split()[2], 8) & 0o007 == 0 for line in owners.splitlines()), owners
    assert trial.hub.run(f"stat -c %a /home/{STUDENT}").strip() == "700"
    assert "answer.py" not in trial.hub.run(f"ls /home/{STUDENT}/labs /home/{STUDENT}/projects")


def test_the_link_signs_a_student_in_and_starts_the_server(trial: Trial) -> None:
    """A person who is not signed in yet is asked to, and then returned to the link."""
    with HubClient(trial.hub.document["hostname"], OTHER, Path(trial.hub.document["ca_bundle"])) as client:
        page = client.get(trial.link("labs"))
        assert "/hub/login?next=" in page.url
        assert "git-pull" in page.url


def test_new_versions_arrive_and_a_collision_keeps_the_students(trial: Trial) -> None:
    assert trial.hub.run("systemctl is-active coursehub-material.timer").strip() == "active"
    with with_copies(trial) as client:
        before = {repository: trial.newest(repository) for repository in ("labs", "projects")}
        for repository in before:
            trial.publish(repository, lab1="a = 'course'\nb = 2\n", lab2="x = 2\n")
        trial.hub.run(f"echo \"a = 'mine'\" > /home/{STUDENT}/labs/lab1.py")
        published = {repository: trial.newest(repository) for repository in before}
        assert not set(published.values()) & set(before.values())
        status = trial.fetch(lambda now: {name: one.get("commit") for name, one in now.items()} == published)
        assert [(entry.get("problem"), entry["commit"]) for entry in status.values()] == [
            (None, published[name]) for name in status
        ]
        beside = f"lab1_teacher-{trial.hub.run(f'date {TODAY}').strip()}.py"
        told = click(client.get, trial.link("labs"))
        assert told.status_code == 200, told.headers
        assert "Your files were kept" in told.text
        assert beside in told.text
        assert f'href="/user/{STUDENT}/lab/tree/labs/lab1.py"' in told.text
        assert client.api("GET", "/api/contents/labs/lab1.py").json()["content"] == "a = 'mine'\n"
        assert client.api("GET", f"/api/contents/labs/{beside}").json()["content"] == "a = 'course'\nb = 2\n"
        assert client.api("GET", "/api/contents/labs/lab2.py").json()["content"] == "x = 2\n"
        # The student has nothing there yet, so there is no question.
        assert click(client.get, trial.link("projects")).status_code == 302
        assert client.api("GET", "/api/contents/projects/lab1.py").json()["content"] == "a = 'course'\nb = 2\n"


def test_browser_goes_from_the_link_by_kept_files_to_lab(trial: Trial, tmp_path: Path) -> None:
    with with_copies(trial), browser(trial.hub, tmp_path, "kept") as driver:
        trial.publish("labs", lab1="a = 'newer'\nb = 2\n")
        published = trial.newest("labs")
        assert trial.fetch(lambda now: now["labs"].get("commit") == published)["labs"]["commit"] == published
        trial.hub.run(f"echo \"a = 'my own'\" > /home/{STUDENT}/labs/lab1.py")
        host = f"https://{trial.hub.document['hostname']}"
        sign_in(driver, trial.hub, STUDENT, host + trial.link("labs"))
        assert wait(driver, "#told", 120).text == "Your files were kept"
        shoot(driver, "kept")
        press(driver, "#on")
        shown = (By.CSS_SELECTOR, ".jp-FileEditor .cm-content")
        until(driver, seen.text_to_be_present_in_element(shown, "my own"), "the student's own is not open", 120)
        # Lab updates the address itself.
        file = f"/user/{STUDENT}/lab/tree/labs/lab1.py"
        until(driver, seen.url_contains(file), "no address of the file")


def test_while_the_git_host_is_away_hub_and_apply_go_on(trial: Trial) -> None:
    trial.close()
    try:
        began = time.monotonic()
        status = trial.fetch(lambda now: "problem" in now["labs"])
        assert status["labs"]["problem"]["kind"] == "away"
        assert time.monotonic() - began < 30
        outcome = trial.apply()
        assert (outcome["changed"], outcome["failed"]) == (0, 0)
        with with_copies(trial) as client:
            assert click(client.get, trial.link("labs")).status_code == 302
    finally:
        trial.open()
    assert "problem" not in trial.fetch(lambda now: "problem" not in now["labs"])["labs"]


def test_wrong_branch_is_one_line_and_changes_no_copy(trial: Trial) -> None:
    describe(trial, branch="autumn")
    try:
        failed = trial.hub.sandbox.run("apply", "demo")
        assert failed.returncode == 1
        assert "labs.git has no branch autumn; correct branch; students go on with" in failed.stderr
        assert trial.hub.run("git -C /srv/class/material/labs rev-parse main").strip()
    finally:
        describe(trial)
        assert trial.apply()["failed"] == 0


def test_what_is_taken_out_goes_keys_first(trial: Trial) -> None:
    """Students keep their copies. The last test, because the others need what is removed here."""
    with with_copies(trial):
        trial.hub.run(f"echo \"a = 'mine'\" > /home/{STUDENT}/labs/lab1.py")
    path = trial.hub.sandbox.project.course_file("demo")
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    del document["course"]["material"]["repositories"]
    path.write_text("#!yaml\n" + yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    assert trial.apply()["failed"] == 0
    left = trial.hub.run(
        "ls -d /etc/coursehub-material /srv/class/material /etc/gitconfig /var/lib/coursehub-material 2>/dev/null;"
        "systemctl is-active coursehub-material.timer; systemctl is-system-running || true"
    )
    assert left.split()[0] == "inactive", left
    assert trial.hub.run(f"cat /home/{STUDENT}/labs/lab1.py") == "a = 'mine'\n"
    outcome = trial.apply()
    assert (outcome["changed"], outcome["failed"]) == (0, 0)
