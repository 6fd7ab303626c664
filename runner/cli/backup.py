"""The verbs on backups."""

from __future__ import annotations

import click

from runner.cli.base import Document, as_json_option, cli, course_argument, emit, project, shown
from runner.console import Steps
from runner.errors import USAGE, CoursehubError


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
@click.option("--all", "everything", is_flag=True, help="Restore everything, onto a new server that nobody uses yet.")
@click.option("--user", help="The account whose file or folder it is.")
@click.option("--path", help="The file or folder in the home; . is the whole home.")
@click.option("--at", help="Take the newest version of this time or before: 2026-11-30, '2026-11-30 14:00', yesterday.")
@click.option(
    "--in-place", is_flag=True, help="Overwrite the current version; otherwise the restored one gets another name."
)
@click.option("--stop-servers", is_flag=True, help="With --all: end the servers of those who work on it.")
@click.option("--list", "listed", is_flag=True, help="List the versions in the backups; restore nothing.")
@click.option("--target", help="Restore from this target; the default is the one with the newest backup.")
@as_json_option
def restore(
    course: str,
    *,
    everything: bool,
    user: str | None,
    path: str | None,
    at: str | None,
    in_place: bool,
    stop_servers: bool,
    listed: bool,
    target: str | None,
    as_json: bool,
) -> None:
    """Restore a file, a folder or a home, or with --all everything. Without --in-place nothing is overwritten."""
    useless = [
        name for name, said in (("--at", at), ("--in-place", in_place), ("--stop-servers", stop_servers)) if said
    ]
    if listed and useless:
        raise CoursehubError(
            f"--list shows all versions and restores nothing; say it without {' and '.join(useless)}", exit_code=USAGE
        )
    if everything:
        if user or path or in_place:
            raise CoursehubError("say --all, or --user and --path", exit_code=USAGE)
        _restore_everything(course, at=at, listed=listed, target=target, stop_servers=stop_servers, as_json=as_json)
        return
    if stop_servers:
        raise CoursehubError("--stop-servers goes with --all; say --user and --path without it", exit_code=USAGE)
    if not user or not path:
        raise CoursehubError("say --user and --path, or --all", exit_code=USAGE)
    from runner.verbs import backup as verb

    if listed:
        document = verb.versions(project(), course, Steps(), user=user, path=path, target=target)
        emit(document, as_json, _versions(document))
        return
    document = verb.restore(project(), course, Steps(), user=user, path=path, at=at, in_place=in_place, target=target)
    emit(document, as_json, _restored(document))


def _restore_everything(
    course: str, *, at: str | None, listed: bool, target: str | None, stop_servers: bool, as_json: bool
) -> None:
    from runner.verbs import backup as verb

    if listed:
        document = verb.snapshots(project(), course, Steps(), target=target)
        emit(document, as_json, _snapshots(document))
        return
    with shown(as_json, _everything):
        document = verb.restore_everything(project(), course, Steps(), at=at, target=target, stop_servers=stop_servers)
    emit(document, as_json, _everything(document))


def _snapshots(document: Document) -> list[str]:
    rows = [
        f"  {_minute(one['at'])}  {'?' if one['size'] is None else format(one['size'] / 1e6, '.1f'):>8} MB  "
        + (f"server {one['server']}" if one["server"] else "this server")
        + f"  {one['target']}"
        for one in document["snapshots"]
    ]
    return rows or ["there is no backup yet"]


def _everything(document: Document) -> list[str]:
    parts = document.get("parts")
    if not parts:
        return []
    restored = sum(1 for one in parts if one["result"] in ("restored", "partly") and one["name"].startswith("home "))
    ended = document.get("ended") or document["began"]
    return [
        f"{document['course']}: {restored} homes are as they were at {_minute(document['at'])} on server "
        f"{document['server']}, from {document['target']}, after {ended - document['began']:.0f} s",
        *(f"  {one['result']:<9}{one['name']}: {one['why']}" for one in parts if one["why"]),
    ]


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
