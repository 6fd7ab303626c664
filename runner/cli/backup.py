"""The verbs on backups."""

from __future__ import annotations

import click

from runner.cli.base import Document, as_json_option, cli, course_argument, emit, project, shown
from runner.console import Steps


@cli.command()
@course_argument
@as_json_option
def backup(course: str, as_json: bool) -> None:
    """Back up the course now, to all of its targets."""
    from runner.verbs import backup as verb

    with shown(as_json, _targets):
        document = verb.backup(project(), course, Steps())
    emit(document, as_json, _targets(document))


@cli.command()
@course_argument
@click.option("--user", required=True, help="The account whose file or folder it is.")
@click.option("--path", required=True, help="The file or folder in the home; . is the whole home.")
@click.option("--at", help="Take the newest version of this time or before: 2026-11-30, '2026-11-30 14:00', yesterday.")
@click.option(
    "--in-place", is_flag=True, help="Overwrite the current version; otherwise the restored one gets another name."
)
@click.option("--list", "listed", is_flag=True, help="List the versions in the backups; restore nothing.")
@click.option("--target", help="Restore from this target; the default is the one with the newest backup.")
@as_json_option
def restore(
    course: str,
    *,
    user: str,
    path: str,
    at: str | None,
    in_place: bool,
    listed: bool,
    target: str | None,
    as_json: bool,
) -> None:
    """Restore a file, a folder or a home. Without --in-place nothing is overwritten."""
    from runner.verbs import backup as verb

    if listed:
        document = verb.versions(project(), course, Steps(), user=user, path=path, target=target)
        emit(document, as_json, _versions(document))
        return
    document = verb.restore(project(), course, Steps(), user=user, path=path, at=at, in_place=in_place, target=target)
    emit(document, as_json, _restored(document))


def _targets(document: Document) -> list[str]:
    lines = []
    for name, one in document.get("targets", {}).items():
        if one.get("error"):
            lines.append(f"{document['course']}: {name}: failed: {one['error']}")
        elif one.get("ok"):
            lines.append(
                f"{document['course']}: {name}: {one['files']} files, {one['bytes'] / 1e6:.0f} MB, of which "
                f"{one['added'] / 1e6:.1f} MB are new, in {one['seconds']} s"
            )
    return lines


def _versions(document: Document) -> list[str]:
    rows = [f"  {_minute(one['at'])}  {_size(one['size'])}" for one in document["versions"]]
    return rows or [f"no backup has {document['path']} of {document['user']}"]


def _minute(text: str) -> str:
    return text[:16].replace("T", " ")


def _size(size: int | None) -> str:
    return "folder" if size is None else f"{size} bytes"


def _restored(document: Document) -> list[str]:
    lines = [f"{document['to']} is as it was at {_minute(document['at'])}"]
    if document["left_out"]:
        lines.append(f"  {document['left_out']} files or folders in it belonged to others and were left out")
    return lines
