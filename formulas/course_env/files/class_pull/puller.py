"""Brings the course's material into a student's home so that nothing of the student's is ever lost.

nbgitpuller's own puller merges files line by line and, where lines collide, drops the course's without a word; a
notebook that is merged so may not even open. Here merging happens in git's store alone; the student's files are only
touched by the last step, in which git itself refuses to write over anything that is not committed.
"""

import os
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from nbgitpuller.errors import GitPullerError

from class_pull import leftovers, merging, notes
from class_pull.files import Files, is_own
from class_pull.git import Git, GitFailed

#: The version of the course that was brought last. A teacher who rewrites the repository's history (a forced push) then
#: still changes only what differs between the two versions.
BROUGHT = "refs/class/brought"
#: The course's newest version, in git's room.
_NEWEST = "refs/known/newest"

#: Seconds that a pull waits for another, or for a git of the student's own, in the same directory.
PATIENCE = 60
#: One for each directory. Who closes the page in the middle of a pull leaves it running, and nbgitpuller's own lock is
#: free when that pull has its next line to say: the next click would find half a repository.
_running: dict[str, threading.Lock] = {}


class PullFailed(GitPullerError):
    """A pull that did not work; the message is read by the student. ``code`` is known to the page."""

    def __init__(self, message: str, code: str = "failed") -> None:
        # An empty one: what Python was doing is no help to the student.
        super().__init__(code=code, message=message, traceback_message="")


class ClassPuller:
    """Pulls ``branch`` of ``git_url`` into ``repo_dir``, as nbgitpuller's handler asks; ``told`` is for the student.

    What a link may ask for was decided before (``asked``). ``backup`` puts aside what is in ``repo_dir``.
    """

    def __init__(self, git_url: str, repo_dir: str, *, branch: str, backup: bool = False, **_: Any) -> None:
        self.home, self.branch = Path(repo_dir), branch
        self.git = Git(self.home, git_url)
        self.files = Files(self.home)
        self.told = self.files.told
        # Put aside by ``pull``: here and now another pull may run in it.
        self._anew = backup

    def pull(self) -> Iterator[str]:
        """Bring the newest version, once nobody else does; lines of a log. Raises PullFailed."""
        running = _running.setdefault(os.path.realpath(self.home), threading.Lock())
        for _ in range(PATIENCE):
            if running.acquire(timeout=1):
                break
            # Each line shows that the page is still open: nbgitpuller frees its lock when it is not.
            yield f"Another pull into {self.home.name} is still running\n"
        else:
            raise PullFailed(f"Another pull into {self.home.name} is still running; restart your server if it hangs.")
        try:
            yield from self._pull()
        except GitFailed as problem:
            raise PullFailed(f"git says: {problem}") from problem
        except OSError as problem:
            raise PullFailed(f"{problem.strerror}: {problem.filename or self.home}") from problem
        finally:
            running.release()

    def _pull(self) -> Iterator[str]:
        notes.begin(self.home)
        mirror = self.git.source.removeprefix("file://")
        if mirror.startswith("/") and not Path(mirror).exists():
            # The server's own copy, which it could not fetch: `apply` and `check` say why.
            raise PullFailed(f"{self.home.name} is not there yet. Your teacher was told; try again later.")
        try:
            if self._anew and os.path.lexists(self.home):
                yield f"{self.home} is now {self.files.put_aside()}\n"
            if is_own(self.home):
                notes.forget(self.home)
                self.told.append({"kind": "own", "path": self.home.name})
                yield f"{self.home} is not the course's: nothing was brought\n"
                return
            with self.git as git:
                if (self.home / ".git").exists():
                    yield from self._wait_for_git()
                    student = git.read_ref("HEAD")
                    if student:
                        yield from self._update(git, student)
                        return
                    # A clone that was killed, or one that the student only began.
                    yield from self._discard()
                yield from self._clone()
        finally:
            # What was renamed before something failed is renamed.
            notes.add(self.home, self.told)

    def _wait_for_git(self) -> Iterator[str]:
        """Wait until no git of the student's own works there; then what an ended one left can go."""
        for _ in range(PATIENCE):
            if not leftovers.git_runs(self.home):
                leftovers.clear(self.home / ".git")
                return
            yield from _second(f"git is at work in {self.home.name}\n")
        raise PullFailed(f"git is still at work in {self.home.name}; end it in your terminal, then try again.")

    def _discard(self) -> Iterator[str]:
        """Put aside what has no version at all; gone is only what nobody wrote."""
        if [path.name for path in self.home.iterdir()] == [".git"]:
            leftovers.remove_repository(self.home)
            yield f"{self.home} was only begun and is made anew\n"
        else:
            yield f"{self.home} is now {self.files.put_aside()}\n"

    def _clone(self) -> Iterator[str]:
        """Make the copy beside, and give it its name when it is whole."""
        notes.forget(self.home)
        leftovers.remove_staging(self.home)
        staged = leftovers.staging(self.home)
        with Git(staged, self.git.source) as git:
            yield from git.clone(self.branch)
            commit = git.read_ref("HEAD")
            git.write_ref(BROUGHT, commit)
        # An empty directory may be in the way; one with something in it is not replaced.
        staged.rename(self.home)

    # -- a copy that is there ----------------------------------------------------------------------------

    def _update(self, git: Git, student: str) -> Iterator[str]:
        known = {"student": student}
        origin = f"refs/remotes/origin/{self.branch}"
        known |= {name: one for name, ref in (("origin", origin), ("brought", BROUGHT)) if (one := git.read_ref(ref))}
        git.begin(student, **known)
        yield from git.fetch(self.branch, _NEWEST)
        course = git.line("rev-parse", "--verify", f"{_NEWEST}^{{commit}}")
        yield from self._commit_all(git)
        brought = yield from self._merge(git, course, known.get("brought", ""))
        commit = git.line("rev-parse", "--verify", "HEAD^{commit}")
        for name, now in (("HEAD", commit), (origin, course), (BROUGHT, brought)):
            if git.read_ref(name) != now:
                git.write_ref(name, now)

    def _commit_all(self, git: Git) -> Iterator[str]:
        """Make a version of what the student changed; what is staged counts as everything else."""
        if git.attempt("reset", "--mixed", "--quiet").returncode:
            # Of a power cut in the middle: an index is made anew from the version.
            (git.store / "index").unlink(missing_ok=True)
            git.run("reset", "--mixed", "--quiet")
        if not git.holds("diff-files", "--quiet"):
            words = ["commit", "--quiet", "--all", "--no-verify", "--no-gpg-sign", "--allow-empty", "-m", "My work"]
            yield from git.say(*words)

    def _merge(self, git: Git, course: str, brought: str) -> Generator[str, None, str]:
        """Make one version of the student's and the course's, in git's store; then switch the files to it.

        Returns the version of the course that is brought now.
        """
        student = git.line("rev-parse", "--verify", "HEAD^{commit}")
        base = self._base(git, student, course, brought)
        target = course
        if not git.holds("merge-base", "--is-ancestor", base, course):
            # A history that was rewritten: its newest version alone counts, as a change of the one brought before.
            target = merging.new_commit(git, f"{course}^{{tree}}", base)
        mine, theirs = merging.tree_of(git, student), merging.tree_of(git, target)
        merged = merging.merge(git, self.files, merging.tree_of(git, base), mine, theirs)
        if merged.tree == mine and base == course:
            yield "Nothing new\n"
            return brought or course
        yield from self.files.make_way([name for name in merged.tree if name not in mine], mine)
        if merged.tree == theirs and git.holds("merge-base", "--is-ancestor", student, target):
            commit = target
        else:
            reached = git.holds("merge-base", "--is-ancestor", target, student)
            parents = [student] if reached else [student, target]
            commit = merging.new_commit(git, merging.stored(git, merged.tree), *parents)
        written: list[Path] = []
        try:
            planned = merged.planned + self.files.write_beside(git, merged.beside, written)
            yield from git.say("merge", "--ff-only", "--quiet", commit)
        except Exception:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        self.told += planned
        return target

    def _base(self, git: Git, student: str, course: str, brought: str) -> str:
        """The version of the course that the student's files come from."""
        if brought and git.holds("merge-base", "--is-ancestor", brought, student):
            return brought
        common = git.attempt("merge-base", student, course).stdout.decode().strip()
        if not common:
            raise PullFailed(
                f"Your folder {self.home.name} is a repository of something else, so nothing was brought.", "merge"
            )
        return common


def _second(said: str) -> Iterator[str]:
    yield said
    threading.Event().wait(1)
