"""What a pull of course material does to a student's files: real git, and nbgitpuller from the course's lock."""

from __future__ import annotations

import json
import os
import random
import shutil
import time

import pytest

from tests.support.lesson import Class, git, notebook

pytestmark = pytest.mark.unit
TODAY = time.strftime("%Y-%m-%d")


def test_what_is_new_arrives(lesson: Class) -> None:
    assert lesson.files() == {"lab1.py", "lab2.py", "data/points.csv"}
    lesson.publish({"lab3.py": "y = 1\n", "lab2.py": "x = 2\n", "data/points.csv": None})
    assert lesson.pull() == []
    assert lesson.files() == {"lab1.py", "lab2.py", "lab3.py"}
    assert lesson.read("lab2.py") == "x = 2\n"
    # Without changes a student has the course's own history.
    assert git(lesson.student, "rev-parse", "HEAD") == git(lesson.teacher, "rev-parse", "HEAD")
    assert lesson.pull() == []


def test_changes_in_different_places_are_merged(lesson: Class) -> None:
    lesson.write("lab1.py", "a = 1\nb = 2\nc = 3\nd = 4\nmine = 5\n")
    lesson.publish({"lab1.py": "a = 100\nb = 2\nc = 3\nd = 4\n"})
    assert lesson.pull() == []
    assert lesson.read("lab1.py") == "a = 100\nb = 2\nc = 3\nd = 4\nmine = 5\n"


def test_a_collision_keeps_the_students_file_whole_and_says_so(lesson: Class) -> None:
    mine = "a = 'mine'\nb = 2\nc = 3\nd = 4\n"
    lesson.write("lab1.py", mine)
    os.utime(lesson.student / "lab1.py", (1, 1))
    # In the same place, and far from it: neither gets into the student's file.
    lesson.publish({"lab1.py": "a = 'course'\nb = 2\nc = 3\nd = 400\n", "lab2.py": "x = 2\n"})
    beside = f"lab1_teacher-{TODAY}.py"
    assert lesson.pull() == [{"kind": "kept", "path": "lab1.py", "beside": beside}]
    assert lesson.read("lab1.py") == mine
    # Not written at all, so that a notebook that is open in Lab has not changed on disk.
    assert (lesson.student / "lab1.py").stat().st_mtime == 1
    assert lesson.read(beside) == "a = 'course'\nb = 2\nc = 3\nd = 400\n"
    assert lesson.read("lab2.py") == "x = 2\n"
    assert lesson.pull() == [], "told once"
    assert lesson.files() == {"lab1.py", beside, "lab2.py", "data/points.csv"}

    # A second collision on the same day gets another name.
    lesson.publish({"lab1.py": "a = 'course again'\nb = 2\nc = 3\nd = 400\n"})
    second = f"lab1_teacher-{TODAY}-2.py"
    assert lesson.pull() == [{"kind": "kept", "path": "lab1.py", "beside": second}]
    assert lesson.read("lab1.py") == mine
    assert lesson.read(second).startswith("a = 'course again'")


def test_what_the_student_changed_after_a_collision_is_kept_too(lesson: Class) -> None:
    lesson.write("lab1.py", "mine 1\n")
    lesson.publish({"lab1.py": "course 1\n"})
    lesson.pull()
    lesson.write("lab1.py", "mine 2\n")
    assert lesson.pull() == []
    assert lesson.read("lab1.py") == "mine 2\n"


def test_a_notebook(lesson: Class) -> None:
    lesson.publish({"lab.ipynb": notebook("1 + 1", "2 + 2")})
    lesson.pull()
    # The student ran it and the course corrected it: both changes are merged.
    lesson.write("lab.ipynb", notebook("1 + 1", "2 + 2", outputs="4"))
    lesson.publish({"lab.ipynb": notebook("1 + 1  # see page 7", "2 + 2")})
    assert lesson.pull() == []
    assert json.loads(lesson.read("lab.ipynb")) == json.loads(notebook("1 + 1  # see page 7", "2 + 2", outputs="4"))
    # Both in the same cell.
    mine = notebook("my answer", "2 + 2", outputs="4")
    lesson.write("lab.ipynb", mine)
    lesson.publish({"lab.ipynb": notebook("1 + 1  # see page 7", "2 + 2  # and 8"), "lab2.py": "x = 2\n"})
    assert lesson.pull() == []
    mine = lesson.read("lab.ipynb")
    assert json.loads(mine) == json.loads(notebook("my answer", "2 + 2  # and 8", outputs="4"))
    lesson.publish({"lab.ipynb": notebook("1 + 1  # see page 9", "2 + 2")})
    (told,) = lesson.pull()
    assert told["kind"] == "kept"
    assert lesson.read("lab.ipynb") == mine
    assert "see page 9" in lesson.read(told["beside"])


def test_a_notebook_that_lines_merge_into_nonsense_is_kept_whole(lesson: Class) -> None:
    """The lines do not collide, but the result would not be a notebook, and Lab would not open it."""
    before = notebook("1", "2", "3", "4")
    lesson.publish({"lab.ipynb": before})
    lesson.pull()
    first, last = '"id": "c0"', '"id": "c3"'
    assert before.count(first) == before.count(last) == 1
    mine = before.replace(first, '"id": 7')
    lesson.write("lab.ipynb", mine)
    lesson.publish({"lab.ipynb": before.replace(last, '"id": "other"')})
    (told,) = lesson.pull()
    assert (told["kind"], told["path"]) == ("kept", "lab.ipynb")
    assert lesson.read("lab.ipynb") == mine
    assert '"id": "other"' in lesson.read(told["beside"])


def test_a_binary_file_is_kept_whole(lesson: Class) -> None:
    lesson.publish({"plot.png": b"\x89PNG\0course"})
    lesson.pull()
    (lesson.student / "plot.png").write_bytes(b"\x89PNG\0mine")
    lesson.publish({"plot.png": b"\x89PNG\0course 2"})
    (told,) = lesson.pull()
    assert (lesson.student / "plot.png").read_bytes() == b"\x89PNG\0mine"
    assert (lesson.student / told["beside"]).read_bytes() == b"\x89PNG\0course 2"


def test_what_the_course_took_out_stays_where_it_was_changed(lesson: Class) -> None:
    lesson.write("lab1.py", "mine\n")
    lesson.publish({"lab1.py": None, "lab2.py": None})
    assert lesson.pull() == [{"kind": "removed", "path": "lab1.py"}]
    assert lesson.read("lab1.py") == "mine\n"
    assert "lab2.py" not in lesson.files()
    assert lesson.pull() == []
    assert lesson.read("lab1.py") == "mine\n"


def test_a_renamed_file_is_a_new_one(lesson: Class) -> None:
    lesson.write("lab1.py", "a = 1\nb = 2\nc = 3\nd = 4\nmine = 5\n")
    lesson.publish({"lab1.py": None, "week1.py": "a = 1\nb = 2\nc = 3\nd = 4\n"})
    assert lesson.pull() == [{"kind": "removed", "path": "lab1.py"}]
    assert "mine" in lesson.read("lab1.py")
    assert "mine" not in lesson.read("week1.py")


def test_what_the_student_deleted_comes_back_new(lesson: Class) -> None:
    """So that a student can get a fresh copy of a damaged file."""
    (lesson.student / "lab1.py").unlink()
    lesson.publish({"lab1.py": "fresh\n"})
    assert lesson.pull() == []
    assert lesson.read("lab1.py") == "fresh\n"
    (lesson.student / "lab1.py").unlink()
    assert lesson.pull() == []
    assert lesson.read("lab1.py") == "fresh\n"
    # Deleted on both sides.
    (lesson.student / "lab1.py").unlink()
    lesson.publish({"lab1.py": None})
    assert lesson.pull() == []
    assert "lab1.py" not in lesson.files()


def test_a_file_of_the_students_own_gets_out_of_the_way(lesson: Class) -> None:
    lesson.write("lab3.py", "my own\n")
    lesson.write("über uns.txt", "mine too\n")
    lesson.publish({"lab3.py": "course\n", "über uns.txt": "course\n"})
    told = lesson.pull()
    assert told == [
        {"kind": "moved", "path": "lab3.py", "beside": f"lab3_mine-{TODAY}.py"},
        {"kind": "moved", "path": "über uns.txt", "beside": f"über uns_mine-{TODAY}.txt"},
    ]
    assert lesson.read(f"lab3_mine-{TODAY}.py") == "my own\n"
    assert lesson.read(f"über uns_mine-{TODAY}.txt") == "mine too\n"
    assert lesson.read("lab3.py") == lesson.read("über uns.txt") == "course\n"
    assert lesson.pull() == []


def test_file_in_place_of_a_course_directory_is_renamed(lesson: Class) -> None:
    lesson.write("week2", "notes\n")
    lesson.publish({"week2/a.py": "1\n", "week2/b.py": "2\n"})
    assert lesson.pull() == [{"kind": "moved", "path": "week2", "beside": f"week2_mine-{TODAY}"}]
    assert lesson.read(f"week2_mine-{TODAY}") == "notes\n"
    assert lesson.read("week2/b.py") == "2\n"


def test_replacement_of_a_course_file_is_not_removed(lesson: Class) -> None:
    """git checkout would delete a whole directory for a file, and a file for a directory."""
    (lesson.student / "lab1.py").unlink()
    lesson.write("lab1.py/thesis.txt", "a year of work\n")
    (lesson.student / "data/points.csv").unlink()
    (lesson.student / "data").rmdir()
    lesson.write("data", "my numbers\n")
    told = lesson.pull()
    assert told == [
        {"kind": "moved", "path": "data", "beside": f"data_mine-{TODAY}"},
        {"kind": "moved", "path": "lab1.py", "beside": f"lab1_mine-{TODAY}.py"},
    ]
    assert lesson.read("lab1.py").startswith("a = 1")
    assert lesson.read(f"lab1_mine-{TODAY}.py/thesis.txt") == "a year of work\n"
    assert lesson.read(f"data_mine-{TODAY}") == "my numbers\n"
    assert lesson.read("data/points.csv") == "1,2\n"


def test_a_file_that_became_a_directory(lesson: Class) -> None:
    lesson.write("lab1.py", "mine\n")
    lesson.publish({"lab1.py": None})
    lesson.publish({"lab1.py/part1.py": "1\n"})
    assert [note["kind"] for note in lesson.pull()] == ["moved"]
    assert lesson.read(f"lab1_mine-{TODAY}.py") == "mine\n"
    assert lesson.read("lab1.py/part1.py") == "1\n"
    # And the other way round.
    lesson.write("data/points.csv", "mine\n")
    git(lesson.teacher, "rm", "-q", "-r", "data")
    lesson.publish({"data": "now a file\n"})
    assert [note["kind"] for note in lesson.pull()] == ["moved"]
    assert lesson.read("data") == "now a file\n"
    assert lesson.read(f"data_mine-{TODAY}/points.csv") == "mine\n"


def test_nothing_is_written_through_a_link(lesson: Class) -> None:
    elsewhere = lesson.root / "home" / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "points.csv").write_text("mine\n")
    (lesson.student / "data/points.csv").unlink()
    (lesson.student / "data").rmdir()
    (lesson.student / "data").symlink_to(elsewhere)
    lesson.publish({"data/points.csv": "9,9\n"})
    (told,) = lesson.pull()
    assert (told["kind"], told["path"]) == ("moved", "data")
    assert (elsewhere / "points.csv").read_text() == "mine\n"
    assert lesson.read("data/points.csv") == "9,9\n"


def test_a_rewritten_history_changes_what_it_changes_and_no_more(lesson: Class) -> None:
    lesson.publish({"lab1.py": "a = 1\nb = 2\nc = 3\nd = 4\n", "lab2.py": "x = 2\n"})
    lesson.pull()
    lesson.write("lab1.py", "mine\n")
    lesson.publish({"lab2.py": "x = 3\n"}, forced=True)
    assert lesson.pull() == [], "the student changed lab1 and the course lab2"
    assert lesson.read("lab1.py") == "mine\n"
    assert lesson.read("lab2.py") == "x = 3\n"
    # Later pulls work too, with and without rewritten history.
    lesson.publish({"lab2.py": "x = 4\n"})
    assert lesson.pull() == []
    assert lesson.read("lab2.py") == "x = 4\n"
    lesson.publish({"lab1.py": "course\n"}, forced=True)
    assert [note["kind"] for note in lesson.pull()] == ["kept"]
    assert lesson.read("lab1.py") == "mine\n"


def test_a_student_who_uses_git_keeps_everything(lesson: Class) -> None:
    lesson.write("own.py", "1\n")
    lesson.write("lab1.py", "mine\n")
    git(lesson.student, "add", "-A")
    git(lesson.student, "commit", "-q", "-m", "my work")
    lesson.write("staged.py", "2\n")
    git(lesson.student, "add", "staged.py")
    git(lesson.student, "rm", "-q", "lab2.py")
    git(lesson.student, "commit", "-q", "-m", "lab2 gone", "lab2.py")
    lesson.publish({"lab1.py": "course\n", "lab2.py": "x = 2\n", "own.py": "course's\n", "staged.py": "course's\n"})
    told = {note["path"]: note["kind"] for note in lesson.pull()}
    assert told == {"lab1.py": "kept", "own.py": "kept", "staged.py": "moved"}
    assert lesson.read("own.py") == "1\n"
    assert lesson.read(f"staged_mine-{TODAY}.py") == "2\n"
    assert lesson.read("lab2.py") == "x = 2\n"


def test_a_folder_of_the_students_own_is_left_alone(lesson: Class) -> None:
    lesson.student.rename(lesson.student.with_name("old"))
    lesson.write("thesis.txt", "mine\n")
    # Not even if the whole home is a repository.
    git(lesson.student.parent, "init", "-q")
    git(lesson.student.parent, "add", "labs")
    git(lesson.student.parent, "commit", "-q", "-m", "x")
    lesson.write("thesis.txt", "mine, newer\n")
    head = git(lesson.student.parent, "rev-parse", "HEAD")
    assert lesson.pull() == [{"kind": "own", "path": "labs"}]
    assert lesson.read("thesis.txt") == "mine, newer\n"
    assert git(lesson.student.parent, "rev-parse", "HEAD") == head
    # An empty directory counts as none.
    lesson.student.rename(lesson.student.with_name("theirs"))
    lesson.student.mkdir()
    assert lesson.pull() == []
    assert "lab1.py" in lesson.files()


def test_notes_about_a_deleted_folder_are_dropped(lesson: Class) -> None:
    lesson.write("lab1.py", "mine\n")
    lesson.publish({"lab1.py": "course\n"})
    lesson.ask(look=False)
    answer = lesson.ask(backup=True)
    assert (answer["error"], answer["told"]) == (None, [])
    (aside,) = lesson.student.parent.glob("labs_backup_*")
    assert (aside / "lab1.py").read_text() == "mine\n"
    assert lesson.read("lab1.py") == "course\n"


def test_folder_in_place_of_the_courses_is_the_only_note(lesson: Class) -> None:
    lesson.write("lab1.py", "mine\n")
    lesson.publish({"lab1.py": "course\n"})
    lesson.ask(look=False)
    away = lesson.student.rename(lesson.student.with_name("away"))
    lesson.write("own.py", "own\n")
    assert lesson.ask()["told"] == [{"kind": "own", "path": "labs"}]
    lesson.ask(look=False)
    shutil.rmtree(lesson.student)
    away.rename(lesson.student)
    assert lesson.pull() == []


def test_a_repository_of_something_else_is_left_alone(lesson: Class) -> None:
    lesson.student.rename(lesson.student.with_name("old"))
    lesson.student.mkdir()
    git(lesson.student, "init", "-q", "-b", "main")
    lesson.write("own.py", "1\n")
    git(lesson.student, "add", "-A")
    git(lesson.student, "commit", "-q", "-m", "x")
    answer = lesson.ask()
    assert "PullFailed" in answer["error"]
    assert answer["code"] == "merge", "by which the page offers to put the folder aside"
    assert lesson.files() == {"own.py"}


def test_jupyters_own_copies_are_nobodys_business(lesson: Class) -> None:
    """Teachers commit them by accident, and each save changes them."""
    name = ".ipynb_checkpoints/lab-checkpoint.ipynb"
    lesson.write(name, "mine 1\n")
    lesson.publish({name: "course 1\n"})
    assert lesson.pull() == []
    lesson.write(name, "mine 2\n")
    lesson.publish({name: "course 2\n"})
    assert lesson.pull() == []
    assert lesson.read(name) == "mine 2\n"


def test_a_save_in_the_middle_of_a_pull_is_not_lost(lesson: Class) -> None:
    """git itself refuses the last step; the next click merges both."""
    lesson.publish({"lab1.py": "course\n"})
    answer = lesson.ask(saves={lesson.student / "lab1.py": "saved\n"})
    assert "PullFailed" in answer["error"]
    assert lesson.read("lab1.py") == "saved\n", answer
    lesson.pull()
    assert lesson.read("lab1.py") == "saved\n"


def test_when_the_last_step_fails_nothing_is_left_beside(lesson: Class) -> None:
    lesson.write("lab1.py", "mine\n")
    lesson.publish({"lab1.py": "course\n", "lab2.py": "x = 2\n"})
    answer = lesson.ask(saves={lesson.student / "lab2.py": "saved\n"})
    assert "PullFailed" in answer["error"], answer
    assert answer["told"] == []
    assert lesson.files() == {"lab1.py", "lab2.py", "data/points.csv"}
    assert (lesson.read("lab1.py"), lesson.read("lab2.py")) == ("mine\n", "saved\n")
    assert {note["path"] for note in lesson.pull()} == {"lab1.py", "lab2.py"}


def test_rename_before_a_failed_last_step_is_reported(lesson: Class) -> None:
    lesson.write("new.py", "mine\n")
    lesson.publish({"new.py": "course\n", "lab2.py": "x = 2\n"})
    lesson.write("lab1.py", "mine\n")
    answer = lesson.ask(saves={lesson.student / "lab2.py": "saved\n"})
    assert "PullFailed" in answer["error"], answer
    assert answer["told"] == [{"kind": "moved", "path": "new.py", "beside": f"new_mine-{TODAY}.py"}]
    assert lesson.read(f"new_mine-{TODAY}.py") == "mine\n"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_line_of_the_student_is_ever_lost(lesson: Class, seed: int) -> None:
    """A term of random work on both sides: every line that the student wrote and did not delete is in some file."""
    chance = random.Random(seed)
    names = ["lab1.py", "lab2.py", "new.py", "data/points.csv", "data", "week2/a.py", "week2"]
    written: dict[str, set[str]] = {}
    for step in range(8):
        name, line = chance.choice(names), f"student {step}"
        path = lesson.student / name
        if path.is_file() and chance.random() < 0.2:
            path.unlink()
            for lines in written.values():
                lines.discard(name)
        elif path.parent.is_dir() and not path.is_dir():
            old = path.read_text() if path.is_file() else ""
            lesson.write(name, line + "\n" + old if chance.random() < 0.5 else old + line + "\n")
            written.setdefault(line, set()).add(name)
        name = chance.choice(names)
        above = [one for one in (lesson.teacher / name).parents if one.is_file()]
        for one in [*above, *([lesson.teacher / name] if (lesson.teacher / name).is_dir() else [])]:
            git(lesson.teacher, "rm", "-q", "-r", str(one.relative_to(lesson.teacher)))
        if (lesson.teacher / name).is_file() and chance.random() < 0.3:
            (lesson.teacher / name).unlink()
        else:
            (lesson.teacher / name).parent.mkdir(parents=True, exist_ok=True)
            (lesson.teacher / name).write_text(f"course {step}\nb\nc\nd\n")
        (lesson.teacher / "step").write_text(f"{step}")
        lesson.publish({}, forced=chance.random() < 0.3)
        lesson.pull()
        everything = "".join((lesson.student / file).read_text() for file in lesson.files())
        lost = [line for line, where in written.items() if where and line + "\n" not in everything]
        assert lost == [], (step, lesson.files())


def test_all_files_are_the_students(lesson: Class) -> None:
    lesson.write("lab1.py", "mine\n")
    lesson.publish({"lab1.py": "course\n"})
    lesson.pull()
    owners = {path.lstat().st_uid for path in lesson.student.rglob("*")}
    assert owners == {os.getuid()}
