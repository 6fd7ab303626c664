"""Changes to the text of a course file."""

from __future__ import annotations

from runner.project import Project


def set_value(project: Project, old: str, new: str) -> None:
    path = project.course_file("phys")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
