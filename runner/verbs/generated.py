"""``schema``: the files that are generated from the typed model of the course file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.course import defaults, reference, schema
from runner.project import Project

SCHEMA = Path("pillar/courses.schema.json")
REFERENCE = Path("docs/course-file.md")
EXAMPLE = Path("pillar/courses/pillar.example")
DEFAULTS = Path("pillar/course-defaults.yaml")


def texts() -> dict[Path, str]:
    """Each generated file of the repository with its correct content."""
    return {SCHEMA: schema.text(), REFERENCE: reference.page(), EXAMPLE: reference.example(), DEFAULTS: defaults.text()}


def write(project: Project) -> dict[str, Any]:
    """Update the generated files that are out of date."""
    written = []
    for path, text in texts().items():
        target = project.root / path
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
            written.append(str(path))
    return {"written": written}
