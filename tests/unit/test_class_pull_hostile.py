"""A repository in a student's folder starts no program, and a killed git does not block pulls."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.lesson import DRIVER, FILES, Class, git

pytestmark = pytest.mark.unit

#: Programs that a repository can name in its configuration, and what else they need.
TRICKS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "fsmonitor": ({"core.fsmonitor": "EVIL"}, {}),
    "hooks path": ({"core.hooksPath": "HOOKS"}, {}),
    "ssh command": ({"core.sshCommand": "EVIL", "url.ssh://x/.insteadOf": "file:///"}, {}),
    "ext": ({"protocol.ext.allow": "always", "url.ext::EVIL .insteadOf": "file:///"}, {}),
    "upload pack": ({"remote.origin.uploadpack": "EVIL", "remote.URL.uploadpack": "EVIL"}, {}),
    "remote helper": ({"remote.origin.vcs": "evil", "remote.URL.vcs": "evil"}, {}),
    "clean": ({"filter.f.clean": "EVIL", "filter.f.required": "true"}, {".gitattributes": "* filter=f"}),
    "smudge": ({"filter.f.smudge": "EVIL"}, {".git/info/attributes": "* filter=f"}),
    "process": ({"filter.f.process": "EVIL"}, {".gitattributes": "* filter=f"}),
    "lfs": ({"filter.lfs.process": "EVIL", "filter.lfs.clean": "EVIL"}, {".gitattributes": "* filter=lfs"}),
    "diff": ({"diff.external": "EVIL", "diff.d.command": "EVIL", "diff.d.textconv": "EVIL"},
             {".gitattributes": "* diff=d"}),
    "merge driver": ({"merge.m.driver": "EVIL", "merge.default": "m"}, {".gitattributes": "* merge=m"}),
    "include": ({"include.path": "INCLUDED"}, {}),
    "attributes": ({"core.attributesFile": "ATTRIBUTES", "filter.f.clean": "EVIL"}, {}),
    "alternates": ({"core.alternateRefsCommand": "EVIL"}, {".git/objects/info/alternates": "ORIGIN/objects"}),
    "credentials": ({"credential.helper": "!EVIL", "core.askPass": "EVIL"}, {}),
    "signing": ({"commit.gpgSign": "true", "gpg.program": "EVIL"}, {}),
    "editor": ({"core.editor": "EVIL", "sequence.editor": "EVIL", "core.pager": "EVIL"}, {}),
    "promisor": ({"extensions.partialClone": "origin", "remote.origin.promisor": "true",
                  "remote.origin.uploadpack": "EVIL", "core.repositoryFormatVersion": "1"}, {}),
    "gc hook": ({"gc.auto": "1", "gc.recentObjectsHook": "EVIL", "gc.autoDetach": "false"}, {}),
    "submodule": ({"submodule.recurse": "true", "submodule.s.update": "!EVIL", "submodule.s.url": "ext::EVIL"},
                  {".gitmodules": '[submodule "s"]\n\tpath = s\n\turl = ext::sh\n'}),
}  # fmt: skip
HOOKS = ("pre-commit", "post-commit", "post-checkout", "post-merge", "reference-transaction", "pre-auto-gc",
         "post-index-change", "pre-merge-commit", "commit-msg", "prepare-commit-msg", "post-rewrite",
         "fsmonitor-watchman", "update", "push-to-checkout")  # fmt: skip


def poisoned(lesson: Class, config: dict[str, str], files: dict[str, str]) -> Path:
    """Make the student's copy name a program; return the file that the program would create."""
    left = lesson.root / "left"
    evil = lesson.root / "evil.sh"
    evil.write_text(f'#!/bin/sh\necho "$0 $*" >> {left}\nexit 1\n')
    evil.chmod(0o755)
    hooks = lesson.root / "hooks"
    for directory in (hooks, lesson.student / ".git/hooks"):
        directory.mkdir(exist_ok=True)
        for name in HOOKS:
            shutil.copy2(evil, directory / name)
    (lesson.root / "attributes").write_text("* filter=f\n")
    included = lesson.root / "included"
    included.write_text(f'[core]\n\tfsmonitor = {evil}\n\thooksPath = {hooks}\n[filter "f"]\n\tclean = {evil}\n')
    words = {
        "EVIL": str(evil), "HOOKS": str(hooks), "INCLUDED": str(included), "ORIGIN": str(lesson.origin),
        "ATTRIBUTES": str(lesson.root / "attributes"), "URL": lesson.origin.as_uri(),
    }  # fmt: skip

    def filled(text: str) -> str:
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    for name, content in files.items():
        path = lesson.student / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(filled(content))
    lines = "".join(
        f'[{section} "{rest.rpartition(".")[0]}"]\n\t{rest.rpartition(".")[2]} = "{filled(value)}"\n'
        if "." in rest else f'[{section}]\n\t{rest} = "{filled(value)}"\n'
        for key, value in config.items()
        for section, _, rest in [filled(key).partition(".")]
    )  # fmt: skip
    with (lesson.student / ".git/config").open("a") as file:
        file.write(lines)
    return left


@pytest.mark.parametrize("trick", TRICKS)
def test_a_pull_starts_no_program_of_a_repository(lesson: Class, trick: str) -> None:
    """With work of the student's to commit, new files to write, and files that collide."""
    lesson.write("lab1.py", "mine\n")
    lesson.write("new.py", "mine\n")
    left = poisoned(lesson, *TRICKS[trick])
    lesson.publish({"lab1.py": "course\n", "new.py": "course\n", "lab2.py": "x = 2\n"})
    answer = lesson.ask()
    assert not left.exists(), left.read_text()
    assert answer["error"] is None, answer
    assert lesson.read("lab2.py") == "x = 2\n"
    assert lesson.read("lab1.py") == "mine\n"
    # Again, with nothing new.
    assert lesson.ask()["error"] is None
    assert not left.exists(), left.read_text()


def test_the_tricks_would_work_by_ordinary_git(lesson: Class) -> None:
    """Otherwise the test above would prove nothing."""
    left = poisoned(lesson, *TRICKS["include"])
    git(lesson.student, "status")
    assert left.exists()


def test_the_students_own_settings_do_not_matter(lesson: Class) -> None:
    """Settings that another link put into the student's git configuration start nothing either."""
    left = poisoned(lesson, {}, {})
    home = lesson.root / "home" / ".config/git"
    home.mkdir(parents=True)
    (home / "config").write_text(f"[core]\n\thooksPath = {lesson.root}/hooks\n\tfsmonitor = {lesson.root}/evil.sh\n")
    lesson.publish({"lab2.py": "x = 2\n"})
    assert lesson.ask()["error"] is None
    assert not left.exists()


@pytest.mark.parametrize("what", ["folder", "repository", "objects", "file", "dangling"])
def test_nothing_is_pulled_through_a_link(lesson: Class, what: str) -> None:
    """The target may be a team's, where its members could write."""
    elsewhere = lesson.root / "team"
    if what in ("folder", "dangling"):
        lesson.student.rename(elsewhere)
        lesson.student.symlink_to(elsewhere if what == "folder" else lesson.root / "nowhere")
    elif what == "file":
        (lesson.student / ".git").rename(elsewhere)
        (lesson.student / ".git").write_text(f"gitdir: {elsewhere}\n")
    else:
        part = ".git" if what == "repository" else ".git/objects"
        (lesson.student / part).rename(elsewhere)
        (lesson.student / part).symlink_to(elsewhere)
    lesson.publish({"lab2.py": "x = 2\n"})
    assert lesson.pull() == [{"kind": "own", "path": "labs"}]
    assert not (lesson.root / "nowhere").exists()
    if what != "dangling":
        found = [path for path in lesson.root.glob("*/lab2.py") if path.parent != lesson.teacher]
        assert "x = 2" not in "".join(path.read_text() for path in found)


def test_a_setting_of_where_the_files_are_is_not_followed(lesson: Class) -> None:
    elsewhere = lesson.root / "elsewhere"
    elsewhere.mkdir()
    with (lesson.student / ".git/config").open("a") as file:
        file.write(f"[core]\n\tworktree = {elsewhere}\n")
    lesson.publish({"lab2.py": "x = 2\n"})
    assert lesson.pull() == []
    assert lesson.read("lab2.py") == "x = 2\n"
    assert list(elsewhere.iterdir()) == []


def test_commits_on_the_students_branches_are_never_pruned(lesson: Class) -> None:
    git(lesson.student, "checkout", "-q", "-b", "try")
    lesson.write("try.py", "1\n")
    git(lesson.student, "add", "-A")
    git(lesson.student, "commit", "-q", "-m", "x")
    kept = git(lesson.student, "rev-parse", "HEAD")
    git(lesson.student, "checkout", "-q", "main")
    for path in (lesson.student / ".git/objects").rglob("*"):
        if path.is_file():
            os.utime(path, (1, 1))
    (lesson.student / ".git/config").open("a").write("[gc]\n\tauto = 1\n\tpruneExpire = now\n")
    for step in range(3):
        lesson.publish({"lab2.py": f"x = {step + 2}\n"})
        assert lesson.pull() == []
    assert git(lesson.student, "cat-file", "-t", kept) == "commit"
    assert git(lesson.student, "fsck", "--no-dangling") == ""


def test_a_lock_that_a_killed_git_left_is_cleared(lesson: Class) -> None:
    for name in ("index.lock", "HEAD.lock", "refs/heads/main.lock", "packed-refs.lock"):
        (lesson.student / ".git" / name).touch()
    lesson.publish({"lab2.py": "x = 2\n"})
    assert lesson.pull() == []
    assert lesson.read("lab2.py") == "x = 2\n"
    assert list((lesson.student / ".git").rglob("*.lock")) == []


def test_a_git_that_is_at_work_is_waited_for(lesson: Class) -> None:
    lock = lesson.student / ".git/index.lock"
    lock.touch()
    with subprocess.Popen(
        ["git", "cat-file", "--batch"], cwd=lesson.student, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as at_work:
        ended = subprocess.Popen(["sh", "-c", f"sleep 2; kill {at_work.pid}"])
        began = time.monotonic()
        answer = lesson.ask()
        ended.wait()
    assert answer["error"] is None
    assert "git is running in labs\n" in answer["log"]
    assert time.monotonic() - began > 1
    assert not lock.exists()


def test_killed_clone_is_made_again(lesson: Class) -> None:
    """Ours has the folder's name only when it is complete; an older version or a student may leave a part."""
    shutil.rmtree(lesson.student)
    lesson.student.mkdir()
    git(lesson.student, "init", "-q", "-b", "main")
    (lesson.student / ".git/objects/pack/tmp_pack_x").write_bytes(b"half")
    (lesson.student / ".git/index.lock").touch()
    staged = lesson.student.with_name(".class_pull-labs")
    staged.mkdir()
    (staged / "half").touch()
    assert lesson.pull() == []
    assert lesson.files() == {"lab1.py", "lab2.py", "data/points.csv"}
    assert not staged.exists()


def test_a_half_clone_with_files_in_it_is_put_aside(lesson: Class) -> None:
    shutil.rmtree(lesson.student)
    lesson.student.mkdir()
    git(lesson.student, "init", "-q", "-b", "main")
    lesson.write("mine.py", "mine\n")
    assert lesson.pull() == []
    assert "lab1.py" in lesson.files()
    (aside,) = lesson.student.parent.glob("labs_backup_*")
    assert (aside / "mine.py").read_text() == "mine\n"


def test_damaged_index_is_made_again(lesson: Class) -> None:
    (lesson.student / ".git/index").write_bytes(b"")
    lesson.write("lab1.py", "mine\n")
    lesson.publish({"lab2.py": "x = 2\n"})
    assert lesson.pull() == []
    assert (lesson.read("lab1.py"), lesson.read("lab2.py")) == ("mine\n", "x = 2\n")


def test_a_pull_that_is_killed_at_any_moment_is_made_up_for(lesson: Class, course_python: str) -> None:
    """SIGKILL to the whole group, later each time: the next click brings everything, and the student loses nothing."""
    asked = '{"url": "%s", "home": "%s", "branch": "main", "backup": false, "look": false, "saves": {}}\n'
    for step in range(6):
        lesson.write("lab1.py", f"mine {step}\n")
        lesson.publish({"lab2.py": f"x = {step}\n", f"big{step}.txt": "line\n" * 50_000})
        with subprocess.Popen(
            [course_python, "-c", DRIVER, str(FILES)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            start_new_session=True, env={**os.environ, "HOME": str(lesson.root / "home")},
        ) as process:  # fmt: skip
            assert process.stdin is not None
            process.stdin.write(asked % (lesson.origin.as_uri(), lesson.student))
            process.stdin.flush()
            time.sleep(0.3 + 0.08 * step)
            os.killpg(process.pid, signal.SIGKILL)
        assert lesson.ask()["error"] is None
        assert lesson.read("lab2.py") == f"x = {step}\n"
        assert lesson.read("lab1.py") == f"mine {step}\n"
    assert stat.S_ISDIR((lesson.student / ".git").lstat().st_mode)
