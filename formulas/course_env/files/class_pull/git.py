"""Run git on a student's copy of the course's material so that nothing in that copy can start a program.

A repository can name programs in many places: hooks, filters, a file system monitor, remote helpers, merge drivers. A
student's folder may contain a repository that another person made. So git never reads the configuration, the attributes
or the hooks in it: it works in a separate directory, with the copy's objects, index and files.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

#: Author of the commits that merge both sides.
AUTHOR = "nbgitpuller"
_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
#: ``gc`` must never run here: from this directory, objects of the student's own branches look unreachable.
_CONFIG = """\
[core]
    repositoryformatversion = 0
    bare = false
    hooksPath = /dev/null
    attributesFile = /dev/null
    excludesFile = /dev/null
    fsmonitor = false
    logAllRefUpdates = false
[gc]
    auto = 0
[maintenance]
    auto = false
[submodule]
    recurse = false
[fetch]
    recurseSubmodules = false
"""


class GitFailed(Exception):
    """git ended with an error; the message is the last line that it wrote."""


class Git:
    """git for one copy, ``home``, an absolute path that may not exist yet. Use it in a ``with`` block.

    ``source`` is the only address that git may fetch from.
    """

    def __init__(self, home: Path, source: str) -> None:
        self.home = home
        self.store = home / ".git"
        self.source = source
        self._scratch = tempfile.TemporaryDirectory(prefix="class_pull-")
        self.room = Path(self._scratch.name)

    def __enter__(self) -> "Git":
        (self.room / "refs").mkdir()
        (self.room / "config").write_text(_CONFIG, encoding="utf-8")
        (self.room / "HEAD").write_text("ref: refs/heads/none\n", encoding="utf-8")
        shared = self.source.removeprefix("file://").replace("\\", "\\\\").replace('"', '\\"')
        # The other side of a fetch refuses another account's repository unless it is named here.
        trusted = f'[safe]\n    directory = "{shared}"\n    directory = "{shared}/.git"\n'
        (self.room / "trusted").write_text(trusted, encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()

    def environment(self) -> dict[str, str]:
        """Return the complete environment for git: none of the student's variables and settings."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.room),
            "LANG": "C",
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.room / "trusted"),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "file",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_EDITOR": "false",
            "GIT_PAGER": "cat",
            **{f"GIT_{who}_NAME": AUTHOR for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": f"{AUTHOR}@{AUTHOR}.link" for who in ("AUTHOR", "COMMITTER")},
        }

    def _inside(self) -> dict[str, str]:
        return {
            **self.environment(),
            "GIT_DIR": str(self.room),
            "GIT_OBJECT_DIRECTORY": str(self.store / "objects"),
            "GIT_INDEX_FILE": str(self.store / "index"),
            "GIT_WORK_TREE": str(self.home),
        }

    # -- in the room -------------------------------------------------------------------------------------

    def begin(self, commit: str, **refs: str) -> None:
        """Set HEAD to the student's ``commit``; ``refs`` are other commits in the copy, which need no new fetch."""
        if (self.store / "shallow").is_file():
            shutil.copyfile(self.store / "shallow", self.room / "shallow")
        (self.room / "HEAD").write_text(f"{commit}\n", encoding="utf-8")
        for name, known in refs.items():
            self.run("update-ref", f"refs/known/{name}", known)

    def run(self, *words: str, given: bytes = b"", index: str | None = None) -> bytes:
        """Return a command's output. Raises GitFailed."""
        env = self._inside() | ({"GIT_INDEX_FILE": index} if index else {})
        return _run(["git", *words], env, self.home, given)

    def line(self, *words: str, index: str | None = None) -> str:
        """Return a command's output of one line. Raises GitFailed."""
        return self.run(*words, index=index).decode().strip()

    def holds(self, *words: str) -> bool:
        """Return whether a command exits with 0."""
        return self.attempt(*words).returncode == 0

    def attempt(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command that may fail."""
        return subprocess.run(["git", *words], env=self._inside(), cwd=self.home, capture_output=True, check=False)

    def say(self, *words: str) -> Iterator[str]:
        """Run a command; yield lines of a log. Raises GitFailed."""
        yield from _say(["git", *words], self._inside(), self.home)

    # -- the student's own repository ---------------------------------------------------------------------

    def clone(self, branch: str) -> Iterator[str]:
        """Make ``home`` a copy of the newest version; yield lines of a log. Raises GitFailed."""
        argv = ["git", "clone", "--depth", "1", "--branch", branch, "--template=", "--no-recurse-submodules"]
        argv += ["--upload-pack=git-upload-pack", "--", self.source, str(self.home)]
        yield from _say(argv, self.environment(), self.home.parent)

    def fetch(self, branch: str, into: str) -> Iterator[str]:
        """Fetch a branch's newest version into the copy's store, under the ref ``into``; yield lines of a log."""
        argv = ["fetch", "--no-tags", "--no-auto-gc", "--upload-pack=git-upload-pack", "--force"]
        yield from self.say(*argv, "--", self.source, f"refs/heads/{branch}:{into}")

    def read_ref(self, name: str) -> str:
        """Return the commit of ``name`` in the student's repository, or nothing."""
        done = self._outside("rev-parse", "--verify", "--quiet", name)
        found = done.stdout.decode().strip()
        if done.returncode or not _OBJECT.fullmatch(found) or not self.holds("cat-file", "-e", f"{found}^{{commit}}"):
            return ""
        return found

    def write_ref(self, name: str, commit: str) -> None:
        """Set ``name`` to ``commit`` in the student's repository. Raises GitFailed."""
        done = self._outside("update-ref", "-m", "course material", name, commit)
        if done.returncode:
            raise GitFailed(_last(done.stderr))

    def _outside(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Read or write only refs: of a repository's programs this could start only a hook, and hooks are off."""
        argv = [
            "git",
            f"--git-dir={self.store}",
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "core.fsmonitor=false",
            *words,
        ]
        return subprocess.run(argv, env=self.environment(), cwd="/", capture_output=True, check=False)


def _run(argv: list[str], env: dict[str, str], where: Path, given: bytes = b"") -> bytes:
    done = subprocess.run(argv, env=env, cwd=where, input=given, capture_output=True, check=False)
    if done.returncode:
        raise GitFailed(_last(done.stderr))
    return done.stdout


def _say(argv: list[str], env: dict[str, str], where: Path) -> Iterator[str]:
    yield f"$ {' '.join(argv)}\n"
    done = subprocess.run(argv, env=env, cwd=where, capture_output=True, check=False)
    yield done.stderr.decode(errors="replace")
    if done.returncode:
        raise GitFailed(_last(done.stderr))


def _last(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "git ended without a message"
