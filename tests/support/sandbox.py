"""A working copy of this repository's tracked files with its own state directory and local cloud."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from runner.course import load
from runner.hub.client import HubClient
from runner.people.passwords import Passwords
from runner.project import Project
from runner.servers.access import Access

REPO = Path(__file__).resolve().parents[2]
#: The servers live for minutes and two cores have enough to do; tests/kitchen checks that bytecode is compiled.
_BRIEF = "course_env: {bytecode: false}\njupyterhub: {bytecode: false}\n"
#: What a working copy needs besides the runner's code, which runs from the repository itself.
PARTS = ("salt", "formulas", "pillar", "requirements", "Saltfile")


@dataclass
class Sandbox:
    """Runs ``coursehub`` verbs, as a user would, on a copy of the tree at ``root``."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, root: Path, revision: str) -> Sandbox:
        """The tree of a revision with its own runner: ``python -m`` looks in ``root`` first."""
        archive = subprocess.run(
            ["git", "archive", revision, *PARTS, "runner"], cwd=REPO, capture_output=True, check=True
        ).stdout
        subprocess.run(["tar", "-x"], cwd=root, input=archive, check=True)
        return cls._renamed(root)

    @classmethod
    def make(cls, root: Path) -> Sandbox:
        """The present tree, including uncommitted changes."""
        made = cls(root)
        made.bring_to_now()
        return made

    def bring_to_now(self) -> None:
        """Replace the files with today's; today's runner is the repository's own."""
        root = self.root
        for part in (*PARTS, "runner"):
            if (root / part).is_dir():
                shutil.rmtree(root / part)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PARTS],
            cwd=REPO,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (REPO / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPO / name, root / name)
        self._renamed(root)

    @classmethod
    def _renamed(cls, root: Path) -> Sandbox:
        pillar = root / "pillar"
        top = (pillar / "top.sls").read_text(encoding="utf-8")
        (pillar / "top.sls").write_text(top.replace("    - site\n", "    - site\n    - brief\n"), encoding="utf-8")
        (pillar / "brief.sls").write_text(_BRIEF, encoding="utf-8")
        # All working copies share this computer's /etc/hosts, so another demo's names would be taken.
        made = cls(root)
        made.edit(
            "demo", "domain: engr114.coursehub.test", f"domain: engr114-{crc32(str(root).encode()):08x}.coursehub.test"
        )
        return made

    def domain(self, course_id: str) -> str:
        return load(self.project, course_id).domain

    @property
    def project(self) -> Project:
        return Project(self.root)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(REPO), "COURSEHUB_ROOT": str(self.root), **self.environment}

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "runner", *arguments],
            env=self.env,
            text=True,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, seconds: int = 900) -> subprocess.CompletedProcess[str]:
        process = self.popen(*arguments)
        stdout, stderr = process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def json(self, *arguments: str, exit_code: int = 0, seconds: int = 900) -> dict[str, Any]:
        done = self.run(*arguments, "--json", seconds=seconds)
        assert done.returncode == exit_code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def salt_ssh(self, *arguments: str, seconds: int = 600) -> subprocess.CompletedProcess[str]:
        """salt-ssh typed by hand in the root."""
        return subprocess.run(
            [str(Path(sys.executable).parent / "salt-ssh"), *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def edit(self, course_id: str, old: str, new: str) -> None:
        path = self.project.course_file(course_id)
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def on_server(self, course_id: str, script: str, seconds: int = 120) -> str:
        access = Access(self.project, course_id)
        server = access.server()
        assert server is not None
        return access.run(str(server.ip), script, seconds=seconds)

    def client(self, document: dict[str, Any], account: str) -> HubClient:
        """A person who has signed in to the hub of an ``up`` document."""
        client = HubClient(document["hostname"], account, Path(document["ca_bundle"]))
        client.sign_in(Passwords(self.project, document["course"]).read()[account].clear)
        return client

    def lighten(self, course_id: str) -> None:
        """Reduce the course to two packages, for servers whose environment is made repeatedly."""
        path = self.project.course_file(course_id)
        packages = re.compile(r"^  (packages|imports): \[.*\]$", re.MULTILINE)
        text, lines = packages.subn(r"  \1: [numpy, pint]", path.read_text(encoding="utf-8"))
        assert lines == 2
        path.write_text(text, encoding="utf-8")
        self.json("lock", course_id)

    def copy_course(self, old: str, new: str, **replaced: str) -> None:
        """A second course like the first with its own name; ``replaced`` maps text to text."""
        text = self.project.course_file(old).read_text(encoding="utf-8")
        for before, after in replaced.items():
            assert before in text
            text = text.replace(before, after)
        self.project.course_file(new).write_text(text, encoding="utf-8")
        locks = self.root / "pillar" / "files" / "locks"
        shutil.copy2(locks / f"{old}.txt", locks / f"{new}.txt")
