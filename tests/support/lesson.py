"""A teacher who publishes and a student who pulls: real git, and the puller from the course's lock."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILES = Path(__file__).parents[2] / "formulas/course_env/files"

# Pulls once for each input line, as nbgitpuller's handler does, and prints the result. ``saves`` are files that a
# student saves just before the last step, in which git replaces the files.
DRIVER = """
import json, logging, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from class_pull import notes
from class_pull.git import Git
from class_pull.puller import ClassPuller
logging.disable()
say = Git.say
saves = {}
def saying(git, *words):
    if words[0] == "merge":
        for path, content in saves.items():
            Path(path).write_text(content)
    return say(git, *words)
Git.say = saying
for line in sys.stdin:
    asked = json.loads(line)
    saves = asked["saves"]
    answer = {"error": None, "code": None, "log": []}
    try:
        puller = ClassPuller(asked["url"], asked["home"], branch=asked["branch"], backup=asked["backup"])
        for said in puller.pull():
            answer["log"].append(said)
    except Exception as problem:
        answer["error"], answer["code"] = f"{type(problem).__name__}: {problem}", getattr(problem, "code", None)
    answer["told"] = notes.show(Path(asked["home"])) if asked["look"] else None
    print(json.dumps(answer), flush=True)
"""


def git(where: Path, *words: str) -> str:
    argv = ["git", "-c", "user.name=t", "-c", "user.email=t@example.edu", "-c", "commit.gpgsign=false", *words]
    return subprocess.run(argv, cwd=where, capture_output=True, text=True, check=True).stdout.strip()


@dataclass
class Class:
    """A teacher's working copy, pushed to a bare repository, and one student's home."""

    root: Path
    driver: subprocess.Popen[str]
    told: list[dict[str, str]] = field(default_factory=list)

    @property
    def origin(self) -> Path:
        return self.root / "origin"

    @property
    def teacher(self) -> Path:
        return self.root / "teacher"

    @property
    def student(self) -> Path:
        return self.root / "home" / "labs"

    def publish(self, files: dict[str, str | bytes | None], *, forced: bool = False) -> None:
        """Change files (None: delete) in a new version; ``forced`` rewrites the previous one instead."""
        for name, content in files.items():
            path = self.teacher / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        git(self.teacher, "add", "-A")
        git(self.teacher, "commit", "-q", "-m", "x", *(["--amend"] if forced else []))
        git(self.teacher, "push", "-q", *(["--force"] if forced else []), "origin", "main")

    def ask(self, *, backup: bool = False, look: bool = True, saves: dict[Path, str] | None = None) -> dict[str, Any]:
        """Pull, and ``look`` at the messages; the student ``saves`` files just before the last step."""
        assert self.driver.stdin is not None
        assert self.driver.stdout is not None
        where = {"url": self.origin.as_uri(), "home": str(self.student), "branch": "main"}
        saved = {str(path): content for path, content in (saves or {}).items()}
        asked = {**where, "backup": backup, "look": look, "saves": saved}
        self.driver.stdin.write(json.dumps(asked) + "\n")
        self.driver.stdin.flush()
        answer: dict[str, Any] = json.loads(self.driver.stdout.readline())
        return answer

    def pull(self) -> list[dict[str, str]]:
        """Pull like a student who clicks the link; return the messages."""
        answer = self.ask()
        assert answer["error"] is None, answer
        return answer["told"]

    def read(self, name: str) -> str:
        return (self.student / name).read_text(encoding="utf-8")

    def write(self, name: str, content: str) -> None:
        path = self.student / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def files(self) -> set[str]:
        found = (path for path in self.student.rglob("*") if path.is_file() or path.is_symlink())
        return {str(path.relative_to(self.student)) for path in found if ".git" not in path.parts}


def notebook(*sources: str, outputs: str = "") -> str:
    cells = [
        {
            "cell_type": "code", "id": f"c{number}", "metadata": {}, "execution_count": None, "source": [source],
            "outputs": [{"output_type": "stream", "name": "stdout", "text": [outputs]}] if outputs else [],
        }
        for number, source in enumerate(sources)
    ]  # fmt: skip
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"
