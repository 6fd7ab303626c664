"""``up``: from a course file to a hub for students. ``down``: deletes it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from runner.cloud import Order, Refused, Server, tag_of
from runner.cloud.model import TAG
from runner.console import Progress, Steps
from runner.errors import USAGE, CoursehubError
from runner.hub import checks
from runner.people.passwords import Passwords
from runner.project import Project
from runner.providers import kind_of
from runner.saltssh.pillar import runtime_file
from runner.saltssh.results import Report
from runner.saltssh.scratch import sweep
from runner.servers import birthplace, droplets
from runner.servers.access import Access
from runner.servers.claim import claim, claim_in_cloud
from runner.session import Session, carrying, connect, names, nothing_here
from runner.session.failures import made_elsewhere, not_right
from runner.session.needs import ensure_lock, need_backup, need_material, need_signin
from runner.session.notes import notes as notes_of
from runner.session.order import check_order, what_up_makes
from runner.setup import signin
from runner.verbs import changes, keeping
from runner.verbs.converge import StatesFailed, converge, summary


def up(project: Project, course_id: str, steps: Steps, agree: Callable[[str], None]) -> dict[str, Any]:
    """Make the course's server, configure it, and check it from outside. Continues after an interrupted run.

    Before a server is made that costs money, ``agree`` gets its description and price; it raises to cancel. An error
    has as much of the document as is known.
    """
    document: dict[str, Any] = {"course": course_id}
    try:
        with claim(project, course_id, "up"), contextlib.ExitStack() as held:
            session, server, made = _look(project, course_id, steps, document, held)
            if made:
                agree(made)
            _up(session, server, steps, document)
    except CoursehubError as error:
        error.document = {**document, "seconds": _seconds(steps)}
        raise
    return document


def _look(
    project: Project, course_id: str, steps: Steps, document: dict[str, Any], held: contextlib.ExitStack
) -> tuple[Session, Server | None, str | None]:
    """Check everything that could refuse the course, before anybody is asked or anything is made.

    Returns the server if there is one, and what will be made and cost if it costs money. ``held`` gets the claim on the
    course.
    """
    with steps.step("look", f"look at what {course_id} needs") as progress:
        session = connect(project, course_id, progress if steps.console.is_terminal else steps.say)
        document |= _of_course(session)
        names.need_own(session)
        ensure_lock(session)
        need_signin(session)
        need_material(session)
        progress(f"asking {session.cloud.name} for the server")
        held.enter_context(claim_in_cloud(session.cloud, project, course_id, "up"))
        server = droplets.single(session.cloud, session.access, progress)
        if server is None:
            replaced = need_order(session)
            made = None if not session.cloud.costs else "; ".join([what_up_makes(session), *replaced])
            return session, None, made
        if not session.access.has_keys(server):
            raise made_elsewhere(session.access, server)
        return session, server, None


def _up(session: Session, server: Server | None, steps: Steps, document: dict[str, Any]) -> None:
    project, course_id = session.project, session.course_id
    with steps.step("server", f"server of {course_id}") as progress:
        session.cloud.prepare(session.course.image, progress)
        notes = need_backup(session)
        server = make_server(session, progress, notes, server)
        carrying.send(session, server, progress)
        document |= {
            "server": {key: value for key, value in asdict(server).items() if key != "state"},
            "notes": [*notes, *notes_of(session, server)],
            "checks": [],
        }
        session.write_pillar(str(server.ip))
        document["signin"] = _signin(session)
    try:
        report = converge(session, server, steps)
    except StatesFailed as failure:
        document["highstate"] = _highstate(failure.report, steps)
        raise
    changes.keep(project, course_id, session.course)
    carrying.fetch_if_possible(session, server, steps.say)
    document["highstate"] = _highstate(report, steps)
    with steps.step("checks", f"look at {course_id} from outside") as progress:
        looked = checks.look(session.target(server), progress)
    document |= {"checks": [asdict(check) for check in looked], "seconds": _seconds(steps)}
    bad = [check for check in looked if not check.ok]
    if bad:
        raise not_right(course_id, bad[0])


def make_server(
    session: Session, progress: Progress, notes: list[str] | None = None, server: Server | None = None
) -> Server:
    """The course's server, ordered if ``server`` is None, with its DNS records and our SSH key.

    May be interrupted anywhere and repeated. ``notes`` gets a line for each name that pointed elsewhere.
    """
    access = session.access
    if server is None:
        server = _order(session, progress)
    server = session.cloud.wait_active(session.course_id, server, progress)
    access.remember(server)
    session.cloud.around.ensure_firewall(session.course_id, server.id, names_too=session.course.subdomains)
    session.cloud.around.ensure_project(server.id)
    moved = names.ensure_records(session, server)
    if notes is not None:
        notes += moved
    access.first_contact(str(server.ip), progress)
    return server


def need_order(session: Session) -> list[str]:
    """Refuse an invalid order before it is sent; return lines about names that point elsewhere now."""
    check_order(session)
    session.cloud.need_room()
    zone = session.zone()
    names.need_names(session)
    return names.need_free(session, zone)


def _order(session: Session, progress: Progress) -> Server:
    course = session.course
    wanted = Order(session.course_id, course.domain, course.size, course.image, course.region)
    try:
        return droplets.order(session.cloud, session.access, wanted, progress)
    except Refused as refused:
        raise _refused(session, refused) from refused


def _refused(session: Session, refused: Refused) -> CoursehubError:
    """The error for an order that the cloud refused, with the line of the key that it names."""
    key = next((key for key in ("size", "image", "region") if key in refused.reason.lower()), "domain")
    if "limit" in refused.reason.lower():
        todo = "delete a droplet that you do not need, or ask the provider to raise the account's limit"
    elif key == "domain":
        todo = "change what it names, then run this again"
    else:
        todo = f"choose another {key}, then run this again"
    return CoursehubError(
        f"{session.at(key)}: {session.cloud.name} refused to make the server: {refused.reason.rstrip('.')}; nothing "
        f"was made; {todo}",
        exit_code=USAGE,
    )


def _of_course(session: Session) -> dict[str, Any]:
    return {
        "cloud": session.course.cloud,
        "url": session.url,
        "hostname": session.course.domain,
        "ca_bundle": str(session.ca_bundle) if session.ca_bundle else None,
    }


def _signin(session: Session) -> dict[str, str | None]:
    professor = session.people.professors[0].account
    kind = session.course.signin.kind
    if kind != "password":
        uri = signin.redirect_uri(session.course)
        return {"kind": kind, "username": professor, "password": None, "redirect_uri": uri}
    passwords = Passwords(session.project, session.course_id)
    # Shown only if nobody but this computer can reach the hub; otherwise the password stays in its file.
    shown = f"see {session.project.shown(passwords.path)}" if session.cloud.costs else passwords.read()[professor].clear
    return {"kind": kind, "username": professor, "password": shown, "redirect_uri": None}


def _highstate(report: Report, steps: Steps) -> dict[str, Any]:
    return {**summary(report), "seconds": round(steps.seconds["highstate"], 1)}


def _seconds(steps: Steps) -> dict[str, float]:
    spent = {key: round(steps.seconds.get(key, 0.0), 1) for key in ("server", "highstate", "checks")}
    return {**spent, "total": round(steps.total, 1)}


def _how_to_sign_in(document: dict[str, Any], project: Project) -> list[str]:
    given, course_id = document["signin"], document["course"]
    if given["redirect_uri"]:
        return [
            f"  sign-in by {given['kind']}, for the people of the course; the redirect URI there is",
            f"  {given['redirect_uri']} ('coursehub signin {course_id}' has the whole form)",
        ]
    return [
        f"  sign in as {given['username']}, password {given['password']}",
        f"  everybody's first passwords: {project.shown(Passwords(project, course_id).path)}",
    ]


def explain(document: dict[str, Any], project: Project) -> list[str]:
    """What a teacher needs to know after ``up``, as lines."""
    seconds = document["seconds"]
    lines = [
        "",
        f"  {document['url']}",
        *_how_to_sign_in(document, project),
        f"  took {seconds['total']} s: server {seconds['server']} s, highstate {seconds['highstate']} s "
        f"({document['highstate']['changed']} of {document['highstate']['total']} states changed), look from outside "
        f"{seconds['checks']} s",
    ]
    lines += notes(document)
    if document["ca_bundle"]:
        lines += [
            "  This hub's certificate comes from a test authority. To open it in a browser on this computer, trust",
            f"  {document['ca_bundle']}: Firefox, Settings, Certificates, Authorities, Import; Chromium the same under",
            f"  Manage certificates; curl --cacert {document['ca_bundle']} {document['url']}",
        ]
    return lines


def notes(document: dict[str, Any]) -> list[str]:
    """The document's notes as lines."""
    return [f"  note: {note}" for note in document.get("notes", ())]


def down(project: Project, course_id: str, steps: Steps, *, discard_work: bool = False) -> dict[str, Any]:
    """Save the class's work; delete the course's server, its DNS records and its keys.

    It is not an error if something is gone already. If the work cannot be saved, nothing is deleted; with
    ``discard_work`` it is not saved.
    """
    with claim(project, course_id, "down"), steps.step("down", f"taking {course_id} down") as progress:
        course = birthplace.load(project, course_id)
        removed: list[int] = []
        left: list[dict[str, Any]] = []
        saved = None
        if not nothing_here(project, course_id, course):
            session = connect(project, course_id, progress)
            with claim_in_cloud(session.cloud, project, course_id, "down"):
                servers = _ours(session, progress)
                if servers and not discard_work:
                    saved = keeping.keep_work(session, servers, progress)
                if len(servers) == 1:
                    carrying.fetch_the_last(session, servers[0], progress)
                removed, left = delete(session, servers, progress)
        Access(project, course_id).forget_server()
        runtime_file(project, course_id).unlink(missing_ok=True)
        sweep(project)
        kind_of(course).tidy(project.state, progress)
    return {"course": course_id, "removed": removed, "left": left, "saved": saved}


def _ours(session: Session, progress: Progress) -> list[Server]:
    """The course's droplets. Raises CoursehubError if one was made elsewhere."""
    servers = droplets.found(session.cloud, session.access, progress)
    for server in servers:
        if not session.access.has_keys(server):
            raise made_elsewhere(session.access, server)
    return servers


def delete(session: Session, servers: list[Server], progress: Progress) -> tuple[list[int], list[dict[str, Any]]]:
    """Delete the course's droplets and all that was made for them at the provider.

    The droplets' ids, and what others made beside them that still costs money.
    """
    access = session.access
    remembered = access.server()
    # A droplet that was deleted in the control panel is no longer listed, but its records still exist.
    known = (*servers, *([remembered] if remembered else []))
    addresses = {address for server in known for address in server.addresses}
    if addresses:
        progress("removing the DNS records")
        names.remove_records(session, sorted(addresses))
    progress("looking for what else costs money")
    # Asked while it is still attached to the server.
    others = session.cloud.others.of((server.id for server in servers), (TAG, tag_of(session.course_id)))
    for server in servers:
        progress(f"deleting droplet {server.id}")
        session.cloud.destroy(server, progress)
    progress("removing firewall, keys and tags")
    session.cloud.around.remove_firewall(session.course_id)
    session.cloud.around.remove_project()
    session.cloud.remove_keys(access.alias)
    session.cloud.remove_tags(session.course_id, (server.made_by for server in servers if server.made_by))
    _need_nothing_left(session, remembered)
    return [server.id for server in servers], [asdict(other) for other in others]


def _need_nothing_left(session: Session, remembered: Server | None) -> None:
    """Check at the provider that nothing of the course is left that costs money.

    Raises CoursehubError that names it.
    """
    left = session.cloud.find(session.course_id, remembered)
    if left:
        ids = ", ".join(str(server.id) for server in left)
        raise CoursehubError(
            f"{session.cloud.name} still has droplet {ids} of {session.course_id}, which costs money; run 'coursehub "
            f"down {session.course_id}' again"
        )
