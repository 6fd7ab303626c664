"""Limits of one person compared with the size of the server."""

from __future__ import annotations

from typing import Any

import pytest

from runner.project import Project

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("cpu: 2.0", "cpu: 4.5", "limits.cpu (4.5): the server of size s-4vcpu-8gb has 4 for everybody together"),
        ("memory: 1G", "memory: 9G", "limits.memory ('9G'): the server of size s-4vcpu-8gb has 8G"),
        ("cpu: 2.0", "cpu: 4", ""),
    ],
)
def test_limit_above_the_size_is_refused(coursehub: Any, project: Project, old: str, new: str, says: str) -> None:
    path = project.course_file("phys")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    ended = coursehub("validate", "phys")
    assert (ended.code == 0) is (not says)
    assert says in ended.out + ended.err
