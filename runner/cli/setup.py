"""``coursehub signin`` and ``material``: what a teacher must set up on other sites."""

from __future__ import annotations

from runner.cli.base import as_json_option, cli, course_argument, emit, project
from runner.console import Steps


@cli.command()
@course_argument
@as_json_option
def signin(course: str, as_json: bool) -> None:
    """Show what to type into the sign-in provider's form. With lti13 that is the form of the LMS."""
    from runner.verbs import signin as verb

    document = verb.show(project(), course)
    emit(document, as_json, verb.explain(document))


@cli.command()
@course_argument
@as_json_option
def material(course: str, as_json: bool) -> None:
    """Show the links for the LMS and the deploy keys. Makes a missing key of a private repository."""
    from runner.verbs import material as verb

    document = verb.show(project(), course, Steps().say)
    emit(document, as_json, verb.explain(document))
