"""After how many minutes without use a server is stopped: one number, or one for each role."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, GetJsonSchemaHandler, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from runner.course.facts import MINUTES, Facts, Minutes


class IdleAfter(Facts):
    """Minutes for each role. In the course file one number stands for all."""

    professors: Annotated[Minutes, Field(examples=[480])] = 120
    """Minutes for professors. A role without a number has 120."""
    assistants: Annotated[Minutes, Field(examples=[480])] = 120
    """Minutes for assistants."""
    students: Annotated[Minutes, Field(examples=[120])] = 120
    """Minutes for students."""
    guests: Annotated[Minutes, Field(examples=[60])] = 120
    """Minutes for guests."""

    @model_validator(mode="before")
    @classmethod
    def _one_for_all(cls, given: object) -> object:
        if not isinstance(given, int) or isinstance(given, bool):
            return given
        if not MINUTES.start <= given < MINUTES.stop:
            raise ValueError(f"must be a whole number from {MINUTES.start} to {MINUTES.stop - 1}")
        return dict.fromkeys(cls.model_fields, given)

    @model_serializer
    def _as_typed(self) -> int | dict[str, int]:
        """One number if it is the same for all."""
        minutes = {role: getattr(self, role) for role in type(self).model_fields}
        return self.students if len(set(minutes.values())) == 1 else minutes

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        by_role = super().__get_pydantic_json_schema__(core_schema, handler)
        one = {"type": "integer", "minimum": MINUTES.start, "maximum": MINUTES.stop - 1}
        return {
            "anyOf": [one, by_role],
            "patternErrorMessage": (
                f"must be a whole number from {MINUTES.start} to {MINUTES.stop - 1}, "
                "or one for each role such as {students: 120, professors: 480}"
            ),
        }
