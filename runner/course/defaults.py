"""pillar/course-defaults.yaml: the defaults of the course file's keys, for pillar/hub.sls."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel

from runner.course.backup import Target
from runner.course.material import DataSet, Repository
from runner.course.model import WITH_MANUAL_DNS, Course

_HEAD = """\
# The defaults of a course file. `course` has the keys of the file itself; others are for an entry of a list in it.
# `manual_dns` overrides `course` if the file says `dns: manual`.
# Made by `./coursehub schema --write` from runner/course/; not to be edited.
"""
_MODELS: dict[str, type[BaseModel]] = {
    "course": Course,
    "repository": Repository,
    "data_set": DataSet,
    "backup_target": Target,
}


def text() -> str:
    """The content of the file with the defaults."""
    found = {name: _defaults(model) for name, model in _MODELS.items()}
    found["manual_dns"] = dict(WITH_MANUAL_DNS)
    return _HEAD + yaml.safe_dump(found, sort_keys=False, allow_unicode=True)


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """The defaults of a model's keys; required keys have none."""
    return {
        name: default.model_dump(mode="json") if isinstance(default := field.default, BaseModel) else default
        for name, field in model.model_fields.items()
        if not field.is_required()
    }
