"""Bring the course's material into a student's home so that the student's work is never lost.

nbgitpuller's own puller merges files line by line. If lines conflict, it drops the course's without a message, and a
notebook that is merged this way may not even open. Here merging happens only in git's store. Only the last step touches
the student's files, and in that step git itself refuses to overwrite anything that is not committed.
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

#: The course's version that was brought last. After a teacher rewrote the repository's history (a forced push), only
#: the differences between the two versions count.
BROUGHT = "refs/class/brought"
#: The course's newest version, in our separate git directory.
_NEWEST = "refs/known/newest"

#: Seconds that a pull waits for another pull, or for the student's own git, in the same directory.
PATIENCE = 60
#: One lock for each directory. A student who closes the page in the middle of a pull leaves it running, and then
#: nbgitpuller's own lock is released at the pull's next log line: the next click would find an incomplete repository.
_running: dict[str, threading.Lock] = {}


class PullFailed(GitPullerError):
    """A pull that failed; the student reads the message. The page knows ``code``."""

    def __init__(self, message: str, code: str = "failed") -> None:
        # No traceback: it does not help the student.
        super().__init__(code=code, message=message, traceback_message="")


class ClassPuller:
    """Pulls ``branch`` of ``git_url`` into ``repo_dir`` for nbgitpuller's handler.

    ``asked`` has already decided what the link may ask for. ``backup`` puts aside what is in ``repo_dir``.
    ``student_notes`` says what the student should know.
    """

    def __init__(self, git_url: str, repo_dir: str, *, branch: str, backup: bool = False, **_: Any) -> None:
        self.home, self.branch = Path(repo_dir), branch
        self.git = Git(self.home, git_url)
        self.files = Files(self.home)
        self.student_notes = self.files.student_notes
        # ``pull`` puts the folder aside, not this method: another pull may still run in it.
        self._from_scratch = backup

    def pull(self) -> Iterator[str]:
        """Bring the newest version when no other pull runs; yield lines of a log. Raises PullFailed."""
        running = _running.setdefault(os.path.realpath(self.home), threading.Lock())
        for _ in range(PATIENCE):
            if running.acquire(timeout=1):
                break
            # Each line tests whether the page is still open: if it is not, nbgitpuller releases its lock.
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
            if self._from_scratch and os.path.lexists(self.home):
                yield f"{self.home} is now {self.files.put_aside()}\n"
            if is_own(self.home):
                notes.forget(self.home)
                self.student_notes.append({"kind": "own", "path": self.home.name})
                yield f"{self.home} is not the course's: nothing was brought\n"
                return
            with self.git as git:
                if (self.home / ".git").exists():
                    yield from self._wait_for_git()
                    student = git.read_ref("HEAD")
                    if student:
                        yield from self._update(git, student)
                        return
                    # A killed clone, or a repository that the student only started.
                    yield from self._discard()
                yield from self._clone()
        finally:
            # Files that were renamed before a failure stay renamed, so this is always reported.
            notes.add(self.home, self.student_notes)

    def _wait_for_git(self) -> Iterator[str]:
        """Wait until no git of the student works there; then remove what a killed one left."""
        for _ in range(PATIENCE):
            if not leftovers.git_runs(self.home):
                leftovers.clear(self.home / ".git")
                return
            yield from _second(f"git is running in {self.home.name}\n")
        raise PullFailed(f"git is still running in {self.home.name}; end it in your terminal, then try again.")

    def _discard(self) -> Iterator[str]:
        """Put aside a folder without any version; remove it if there are no files in it."""
        if [path.name for path in self.home.iterdir()] == [".git"]:
            leftovers.remove_repository(self.home)
            yield f"{self.home} was incomplete and is made again\n"
        else:
            yield f"{self.home} is now {self.files.put_aside()}\n"

    def _clone(self) -> Iterator[str]:
        """Make the copy under another name, and rename it when it is complete."""
        notes.forget(self.home)
        leftovers.remove_staging(self.home)
        staged = leftovers.staging(self.home)
        with Git(staged, self.git.source) as git:
            yield from git.clone(self.branch)
            commit = git.read_ref("HEAD")
            git.write_ref(BROUGHT, commit)
        # This replaces an empty directory, but not one with files.
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
        """Make a version of what the student changed, staged or not."""
        if git.attempt("reset", "--mixed", "--quiet").returncode:
            # After a power cut in the middle: make a new index from the version.
            (git.store / "index").unlink(missing_ok=True)
            git.run("reset", "--mixed", "--quiet")
        if not git.holds("diff-files", "--quiet"):
            words = ["commit", "--quiet", "--all", "--no-verify", "--no-gpg-sign", "--allow-empty", "-m", "My work"]
            yield from git.say(*words)

    def _merge(self, git: Git, course: str, brought: str) -> Generator[str, None, str]:
        """Merge the student's and the course's versions in git's store; then switch the files to the result.

        Return the course's version that is brought now.
        """
        student = git.line("rev-parse", "--verify", "HEAD^{commit}")
        base = self._base(git, student, course, brought)
        target = course
        if not git.holds("merge-base", "--is-ancestor", base, course):
            # The history was rewritten: only its newest version counts, as a change of the version brought before.
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
        self.student_notes += planned
        return target

    def _base(self, git: Git, student: str, course: str, brought: str) -> str:
        """Return the course's version from which the student's files come."""
        if brought and git.holds("merge-base", "--is-ancestor", brought, student):
            return brought
        common = git.attempt("merge-base", student, course).stdout.decode().strip()
        if not common:
            raise PullFailed(f"Your folder {self.home.name} is another repository, so nothing was brought.", "merge")
        return common


def _second(said: str) -> Iterator[str]:
    yield said
    threading.Event().wait(1)
