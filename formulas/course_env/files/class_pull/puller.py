"""Brings a repository into a student's home so that nothing of the student's is ever lost, and notes what to tell.

nbgitpuller merges files line by line and, where lines collide, drops the course's without a word; a notebook that is
merged so may not even open. Here a file that both sides changed in one place stays whole as the student has it, its
bytes untouched, and the course's new version is put beside it. Merging happens in git's store alone; the student's
files are only touched by the last step, in which git itself refuses to write over anything that is not committed.
"""

import datetime
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbgitpuller.pull import GitPuller, execute_cmd

from class_pull import notes
from class_pull.notes import Note

#: The version of the course that was brought last. A teacher who rewrites the repository's history (a forced push) then
#: still changes only what differs between the two versions.
BROUGHT = "refs/class/brought"
_NOBODY = ["-c", "user.email=nbgitpuller@nbgitpuller.link", "-c", "user.name=nbgitpuller"]
_FILES = ("100644", "100755")
#: Jupyter's own copies: nobody wants to hear of them.
_CHECKPOINTS = ".ipynb_checkpoints"

#: Seconds that a pull waits for another into the same directory.
PATIENCE = 60
#: One for each directory. Who closes the page in the middle of a pull leaves it running, and nbgitpuller's own lock is
#: free when that pull has its next line to say: the next click would find half a repository.
_running: dict[str, threading.Lock] = {}

#: A file's mode and object, as git has them.
Entry = tuple[str, str]
Tree = dict[str, Entry]


class ClassPuller(GitPuller):
    """nbgitpuller's puller with other manners in merging; ``told`` is what the student has to hear."""

    def __init__(self, git_url: str, repo_dir: str, **options: Any) -> None:
        self.told: list[Note] = []
        self.home = Path(repo_dir)
        self._given: set[Path] = set()
        #: What is true once the last step of merging is done.
        self._planned: list[Note] = []
        # nbgitpuller would rename the directory here and now, below a pull that runs.
        self._anew = options.pop("backup", False)
        super().__init__(git_url, repo_dir, **options)

    def pull(self) -> Iterator[str]:
        """Bring the newest version, once nobody else does; lines of a log.

        Raises:
            TimeoutError: another pull into the same directory does not end.
        """
        running = _running.setdefault(os.path.realpath(self.home), threading.Lock())
        for _ in range(PATIENCE):
            if running.acquire(timeout=1):
                break
            # Each line shows that the page is still open: nbgitpuller frees its lock when it is not.
            yield f"Another pull into {self.home.name} is still running\n"
        else:
            raise TimeoutError(f"Another pull into {self.home.name} is still running; restart your server if it hangs")
        try:
            yield from self._pull()
        finally:
            running.release()

    def _pull(self) -> Iterator[str]:
        notes.begin(self.home)
        try:
            if self._anew and self.home.exists():
                self.backup_repo_dir()
            if self.home.is_dir() and not any(self.home.iterdir()):
                yield from self.initialize_repo()
            elif os.path.lexists(self.home) and not (self.home / ".git").exists():
                notes.forget(self.home)
                self.told.append({"kind": "own", "path": self.home.name})
                yield f"{self.repo_dir} is not the course's: nothing was brought\n"
            else:
                yield from super().pull()
        finally:
            # What was renamed before something failed is renamed.
            notes.add(self.home, self.told)

    # -- nbgitpuller's steps -----------------------------------------------------------------------------

    def initialize_repo(self) -> Iterator[str]:
        """Clone, and remember the version."""
        notes.forget(self.home)
        yield from super().initialize_repo()
        self._git("update-ref", BROUGHT, "HEAD")

    def update_remotes(self) -> Iterator[str]:
        """Fetch what the link says, also where somebody made ``origin`` another address."""
        yield from execute_cmd(["git", "fetch", "--no-tags", "--", self.git_url, self.branch_name], cwd=self.repo_dir)
        self._git("update-ref", f"refs/remotes/origin/{self.branch_name}", "FETCH_HEAD^{commit}")

    def rename_local_untracked(self) -> Iterator[str]:
        """Nothing yet: what stands in the way of the course's files is known when both were merged."""
        yield from ()

    def reset_deleted_files(self) -> Iterator[str]:
        """Nothing yet: merging brings back what the student deleted.

        git's checkout would bring it back too, and remove what the student put in its place: a whole directory even.
        """
        yield from ()

    def merge(self) -> Iterator[str]:
        """Make one version of the student's and the course's, in git's store; then switch the files to it."""
        student, course = self._commit("HEAD"), self._commit(self._origin)
        base = self._base(student, course)
        target = course
        if not self._is_ancestor(base, course):
            # A history that was rewritten: its newest version alone counts, as a change of the one brought before.
            target = self._new_commit(f"{course}^{{tree}}", base)
        mine, theirs = self._tree(student), self._tree(target)
        merged, beside = self._merged(self._tree(base), mine, theirs)
        if merged == mine and base == course:
            yield "Nothing new\n"
            return
        yield from self._make_way([name for name in merged if name not in mine], mine)
        if merged == theirs and self._is_ancestor(student, target):
            commit = target
        else:
            parents = [student] if self._is_ancestor(target, student) else [student, target]
            commit = self._new_commit(self._stored(merged), *parents)
        written: list[Path] = []
        try:
            self._write_beside(beside, written)
            yield from execute_cmd(["git", *_NOBODY, "merge", "--ff-only", commit], cwd=self.repo_dir)
        except Exception:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        self.told += self._planned
        self._git("update-ref", BROUGHT, target)

    # -- merging -----------------------------------------------------------------------------------------

    def _base(self, student: str, course: str) -> str:
        """The version of the course that the student's files come from."""
        brought = self._try("rev-parse", "--verify", "--quiet", f"{BROUGHT}^{{commit}}")
        if brought and self._is_ancestor(brought, student):
            return brought
        common = self._try("merge-base", student, course)
        if not common:
            # In the words of git's own merge, by which nbgitpuller's page offers to start anew beside it.
            raise subprocess.CalledProcessError(128, ["git", *_NOBODY, "merge", self._origin])
        return common

    def _merged(self, base: Tree, mine: Tree, theirs: Tree) -> tuple[Tree, dict[str, str]]:
        """The merged tree, and the course's objects that go beside the student's files, by the files' names.

        What the student deleted comes back. A renamed file is a deleted and a new one: nothing the student wrote moves.
        """
        merged, beside = dict(theirs), {}
        for name, entry in sorted(mine.items()):
            old, new = base.get(name), theirs.get(name)
            if entry in (old, new):
                continue
            if new is None:
                room = self._room(name, theirs)
                merged[room] = entry
                if old is not None and room == name:
                    self._planned.append({"kind": "removed", "path": name})
            elif new == old:
                merged[name] = entry
            else:
                both = self._both(name, old, entry, new)
                merged[name] = both or entry
                if both is None and new[0] in _FILES:
                    beside[name] = new[1]
        return merged, {name: thing for name, thing in beside.items() if _CHECKPOINTS not in name.split("/")}

    def _both(self, name: str, old: Entry | None, mine: Entry, theirs: Entry) -> Entry | None:
        """Both sides' changes in one file; None where they collide, or would be no notebook together."""
        if old is None or not {old[0], mine[0], theirs[0]} <= set(_FILES):
            return None
        with tempfile.TemporaryDirectory() as scratch:
            files = [Path(scratch, which) for which in ("mine", "old", "theirs")]
            for file, (_, thing) in zip(files, (mine, old, theirs), strict=True):
                file.write_bytes(self._git("cat-file", "blob", thing))
            done = subprocess.run(
                ["git", "merge-file", "-p", "--quiet", *map(str, files)],
                cwd=self.repo_dir,
                capture_output=True,
                check=False,
            )
        if done.returncode or (name.endswith(".ipynb") and not _is_notebook(done.stdout)):
            return None
        thing = self._git("hash-object", "-w", "--stdin", given=done.stdout).decode().strip()
        return (mine[0] if mine[0] != old[0] else theirs[0], thing)

    def _room(self, name: str, theirs: Tree) -> str:
        """``name``, or where the course now has a directory there, or a file for a directory above, another."""
        above = ["/".join(name.split("/")[:count]) for count in range(1, name.count("/") + 1)]
        if not any(one in theirs for one in above) and not any(one.startswith(f"{name}/") for one in theirs):
            return name
        blocked = next((one for one in above if one in theirs), name)
        new = str(self._free(blocked, "mine").relative_to(self.home)) + name.removeprefix(blocked)
        self._planned.append({"kind": "moved", "path": name, "beside": new})
        return new

    def _stored(self, tree: Tree) -> str:
        """``tree`` in git's store; its name there."""
        with tempfile.TemporaryDirectory() as scratch:
            index = {**os.environ, "GIT_INDEX_FILE": f"{scratch}/index"}
            lines = (f"{mode} {thing}\t".encode() + os.fsencode(name) for name, (mode, thing) in tree.items())
            self._git("update-index", "-z", "--index-info", env=index, given=b"".join(line + b"\0" for line in lines))
            return self._git("write-tree", env=index).decode().strip()

    # -- the student's files -----------------------------------------------------------------------------

    def _write_beside(self, things: dict[str, str], written: list[Path]) -> None:
        """The course's versions as new files, each in ``written`` and noted; never over one that is there."""
        for name, thing in things.items():
            content = self._git("cat-file", "--filters", f"--path={name}", thing)
            path = self._free(name, "teacher")
            with path.open("xb") as handle:
                written.append(path)
                handle.write(content)
            self._planned.append({"kind": "kept", "path": name, "beside": self._inside(path)})

    def _make_way(self, names: list[str], tracked: Tree) -> Iterator[str]:
        """Rename what of the student's own stands where new files go, or where their directories go.

        What is tracked stays: of that git takes care.
        """
        for name in names:
            parts = name.split("/")
            above = ("/".join(parts[:count]) for count in range(1, len(parts)))
            blocked = [one for one in above if self._exists(one) and not self._is_directory(one) and one not in tracked]
            if not blocked and self._exists(name) and self._has_own(name, tracked):
                blocked = [name]
            for one in blocked[:1]:
                old, new = self.home / one, self._free(one, "mine")
                old.rename(new)
                if _CHECKPOINTS not in parts:
                    self.told.append({"kind": "moved", "path": one, "beside": self._inside(new)})
                yield f"{old} is now {new}\n"

    def _has_own(self, name: str, tracked: Tree) -> bool:
        """Whether there is more at ``name`` than git may take away, as it is in a version."""
        if not self._is_directory(name):
            return True
        files = (path for path in (self.home / name).rglob("*") if path.is_symlink() or not path.is_dir())
        return any(str(path.relative_to(self.home)) not in tracked for path in files)

    def _free(self, name: str, whose: str) -> Path:
        """A name beside ``name`` that nothing has: ``lab1_teacher-2026-11-25.ipynb``."""
        path = self.home / name
        # A file's name has at most 255 bytes; half a letter is none.
        stem = os.fsencode(path.stem)[:200].decode(errors="ignore")
        today = f"{stem}_{whose}-{datetime.date.today():%Y-%m-%d}"
        number = 1
        while True:
            found = path.with_name(f"{today}{'' if number == 1 else f'-{number}'}{path.suffix}")
            if found not in self._given and not os.path.lexists(found):
                self._given.add(found)
                return found
            number += 1

    def _inside(self, path: Path) -> str:
        return os.path.relpath(path, self.repo_dir)

    def _exists(self, name: str) -> bool:
        return os.path.lexists(self.home / name)

    def _is_directory(self, name: str) -> bool:
        path = self.home / name
        return path.is_dir() and not path.is_symlink()

    # -- git ---------------------------------------------------------------------------------------------

    @property
    def _origin(self) -> str:
        return f"refs/remotes/origin/{self.branch_name}"

    def _git(self, *words: str, env: dict[str, str] | None = None, given: bytes = b"") -> bytes:
        return subprocess.run(
            ["git", *words], cwd=self.repo_dir, env=env, input=given, capture_output=True, check=True
        ).stdout

    def _try(self, *words: str) -> str:
        """What git says, or nothing where it fails."""
        done = subprocess.run(["git", *words], cwd=self.repo_dir, capture_output=True, check=False)
        return done.stdout.decode().strip() if done.returncode == 0 else ""

    def _commit(self, name: str) -> str:
        return self._git("rev-parse", "--verify", f"{name}^{{commit}}").decode().strip()

    def _is_ancestor(self, old: str, new: str) -> bool:
        argv = ["git", "merge-base", "--is-ancestor", old, new]
        return subprocess.run(argv, cwd=self.repo_dir, capture_output=True, check=False).returncode == 0

    def _new_commit(self, tree: str, *parents: str) -> str:
        before = [word for parent in parents for word in ("-p", parent)]
        return self._git(*_NOBODY, "commit-tree", tree, *before, "-m", "The course's newest version").decode().strip()

    def _tree(self, commit: str) -> Tree:
        entries = self._git("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0")
        tree = {}
        for facts, _, name in (entry.partition(b"\t") for entry in entries if entry):
            mode, _, thing = facts.decode().split()
            tree[os.fsdecode(name)] = (mode, thing)
        return tree


def _is_notebook(content: bytes) -> bool:
    import nbformat

    try:
        nbformat.validate(nbformat.reads(content.decode(), as_version=nbformat.NO_CONVERT))
    except Exception:
        # Of another library's many kinds each means the same: Lab would not open it.
        return False
    return True
