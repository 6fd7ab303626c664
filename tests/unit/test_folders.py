"""A repository on this computer: for a trial with the local cloud."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.course import Course
from runner.course.material import Repository
from runner.errors import CoursehubError
from runner.servers.access import Access
from runner.setup import folders

pytestmark = pytest.mark.unit


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-c", "user.name=t", "-c", "user.email=t@example.edu", "-C", str(folder), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def labs(tmp_path: Path) -> Path:
    folder = tmp_path / "my labs"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "lab1.py").write_text("1")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "x")
    return folder


def course(*urls: str) -> Course:
    repositories = [Repository(name=f"labs{number}", url=url) for number, url in enumerate(urls)]
    return cast(Course, SimpleNamespace(material=SimpleNamespace(repositories=repositories)))


def at(*keys: Any) -> str:
    return f"course.sls:{keys[2]}"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_folder_has_its_branchs_commit(labs: Path, scheme: str) -> None:
    one = Repository(name="labs", url=f"{scheme}{labs}")
    assert not one.private
    assert one.folder == labs
    known = folders.versions(course("https://example.edu/x", one.url), at)
    assert known == {"labs1": git(labs, "rev-parse", "HEAD")}


def test_folder_that_is_wrong_is_told_with_its_line(labs: Path, tmp_path: Path) -> None:
    def said(url: str) -> str:
        with pytest.raises(CoursehubError) as raised:
            folders.versions(course(url), at)
        assert raised.value.exit_code == 2
        return str(raised.value)

    assert said(str(tmp_path / "labs")).startswith("course.sls:0: material.repositories.1.url: ")
    assert "is no git repository on this computer; correct the folder" in said(str(tmp_path / "labs"))
    git(labs, "branch", "--move", "spring")
    assert said(str(labs)).endswith("has no branch main (it has spring); set branch")
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "--quiet")
    assert said(str(empty)).endswith("; commit your notebooks there")


def test_folder_is_sent_whole_with_one_branch(labs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other side gets a file that git fetches from; solutions in another branch stay here."""
    monkeypatch.setitem(cast(Any, folders.PATHS), "sent", str(tmp_path / "sent"))
    git(labs, "branch", "solutions")
    access = SimpleNamespace(course_id="phys", argv=lambda _ip, script: ["sh", "-c", script])
    folders.send(course(str(labs)), cast(Access, access), "192.0.2.7")
    bundle = tmp_path / "sent" / "labs0.bundle"
    assert git(tmp_path, "ls-remote", str(bundle)).split() == [git(labs, "rev-parse", "HEAD"), "refs/heads/main"]
    assert [path.name for path in bundle.parent.iterdir()] == ["labs0.bundle"]


def test_folder_is_refused_elsewhere(coursehub: Any, project: Any, labs: Path) -> None:
    path = project.course_file("phys")
    text = path.read_text(encoding="utf-8")
    listed = f'    repositories:\n      - {{name: labs, url: "{labs}"}}\n'
    text = text.replace("  material:\n", f"  material:\n{listed}", 1)
    assert "cloud: digitalocean" in text
    path.write_text(text.replace("cloud: digitalocean", "cloud: local"), encoding="utf-8")
    assert "material" not in coursehub("validate", "phys").out
    path.write_text(text, encoding="utf-8")
    ended = coursehub("validate", "phys")
    line = text[: text.index(str(labs))].count("\n") + 1
    assert ended.code == 2
    assert f"phys.sls:{line}: material.repositories.1.url" in ended.out + ended.err
    assert "is for a trial with cloud: local; push it to a git host" in ended.out + ended.err
