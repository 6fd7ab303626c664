"""``upgrade``: a new version of the hub, tried beside the old one first. ``rollback``: the version before again."""

from __future__ import annotations

import contextlib
import datetime
import shlex
import time
from typing import Any

from runner import saltssh
from runner.cloud import Server
from runner.console import Progress, Steps
from runner.errors import CoursehubError
from runner.hub import checks
from runner.project import Project
from runner.saltssh import results
from runner.saltssh.results import Report
from runner.servers.claim import claim, claim_in_cloud
from runner.servers.talking import Talk
from runner.session import Session, carrying, reach
from runner.session.failures import not_right
from runner.session.preparing import prepare
from runner.verbs import backup, changes, debian
from runner.verbs.blame import blame
from runner.verbs.converge import StatesFailed, converge, summary

_COMMAND = "/usr/local/sbin/coursehub-upgrade"
#: The states that write a version of the hub and of the course's environment, without those that start something.
_VERSION = (
    "course_env.environment",
    "jupyterhub.install",
    "jupyterhub.config",
    "jupyterhub.places",
    "jupyterhub.units",
)
#: Seconds that a hub gets to serve after a rollback: the proxy may still answer 503 when systemd calls the hub started.
_SETTLE = 30.0
#: The programs that an upgrade itself needs on the server, in this coursehub's version.
_TOOLS = ("jupyterhub.upgrade", "backup")


def upgrade(
    project: Project,
    course_id: str,
    steps: Steps,
    *,
    without_backup: bool = False,
    reboot: bool = False,
) -> dict[str, Any]:
    """Bring a server to this coursehub's version of the hub, and Debian's packages up to date.

    If the new version does not work, the old one serves, and CoursehubError says why. May be interrupted and repeated.
    """
    document: dict[str, Any] = {"course": course_id, "notes": []}
    try:
        with claim(project, course_id, "upgrade"), contextlib.ExitStack() as held:
            session = reach(project, course_id, steps.say)
            held.enter_context(claim_in_cloud(session.cloud, project, course_id, "upgrade"))
            server = session.server(steps.hear())
            prepare(session, server, document["notes"], test=False)
            if reboot:
                debian.need_nobody(session, str(server.ip))
            _upgrade(session, server, steps, document, without_backup=without_backup)
            debian.upgrade(session, server, steps, document, reboot=reboot)
            with steps.step("checks", f"look at {course_id} as a student") as progress:
                _need_all_well(session, checks.look_as_student(session.target(server), progress))
            carrying.fetch_if_possible(session, server, steps.say)
    except CoursehubError as error:
        error.document = {**document, **error.document}
        raise
    return document


def _upgrade(session: Session, server: Server, steps: Steps, document: dict[str, Any], *, without_backup: bool) -> None:
    course_id = session.course_id
    with steps.step("look", f"look at what {course_id} serves") as progress:
        found = _ready(session, server, document["notes"], progress)
        document["before"] = found["serves"]
        planned = _states(session, server, _VERSION, test=True)
        before = checks.look_as_student(session.target(server), progress) if planned.changed else []
    if not planned.changed:
        report = converge(session, server, steps)
    else:
        if not without_backup:
            with steps.step("backup", f"backup of {course_id}"):
                document["notes"] += backup.make_first(session, str(server.ip), "upgrade")
        with steps.step("trial", f"trial of the new version of {course_id}") as progress:
            new = any(one.state == "uv_env.installed" for one in planned.changed)
            document["trial"] = _try(session, server, progress, new_environments=new)
        report = _switch(session, server, steps, before)
    changes.keep(session.project, course_id, session.course)
    document["highstate"] = summary(report)
    found = ask(session, str(server.ip), "look")
    document |= {"after": found["serves"], "saved": found.get("saved")}


def _ready(session: Session, server: Server, notes: list[str], progress: Progress) -> dict[str, Any]:
    """Install this coursehub's own programs on the server, and end what an interrupted upgrade left."""
    report = _states(session, server, _TOOLS)
    if report.failed:
        raise StatesFailed(session.course_id, report, blame(session, report))
    progress("ending what an earlier upgrade left")
    mended = ask(session, str(server.ip), "mend")
    if mended["mended"] in ("switching", "back"):
        notes.append(f"{session.course_id}: an earlier upgrade was cut off; the version before it was put back first")
    return ask(session, str(server.ip), "look")


def _states(session: Session, server: Server, sls: tuple[str, ...], *, test: bool = False) -> Report:
    return saltssh.highstate(session.project, session.course_id, ip=str(server.ip), sls=sls, test=test)


def _try(session: Session, server: Server, progress: Progress, *, new_environments: bool) -> dict[str, Any]:
    """Build the new version beside the old one and use it as a student would. Nothing that serves is changed."""
    # The package that the server has now is that of the plan before.
    command = [_COMMAND, "try", "--host", session.course.domain, *["--environments"] * new_environments]
    with Talk(session.access, str(server.ip), "coursehub-upgrade-try", command, after=f"{_COMMAND} mend") as talk:
        found = talk.hear(progress)
    still = "the old version serves as before"
    if "error" in found:
        raise CoursehubError(
            f"{session.course_id}: the new version did not pass its trial, so {still}: {found['error']}",
            document={"trial": found},
        )
    if "states" in found:
        report = results.parse(session.course_id, found.pop("states"), "", minion="local")
        raise StatesFailed(session.course_id, report, blame(session, report), verb="upgrade")
    return found


def _switch(session: Session, server: Server, steps: Steps, before: list[checks.Check]) -> Report:
    """Run the highstate while the server watches. If the hub then fails as a student sees it, go back."""
    ip = str(server.ip)
    broken = {one.name for one in before if not one.ok}
    with Talk(session.access, ip, "coursehub-upgrade-guard", [_COMMAND, "guard"], after=f"{_COMMAND} mend") as guard:
        saved = guard.hear(lambda _line: None)
        if "error" in saved:
            raise CoursehubError(
                f"{session.course_id}: the old version cannot be saved, so it serves on: {saved['error']}"
            )
        guard.keep_alive()
        try:
            report = converge(session, server, steps)
            with steps.step("checks", f"look at the new version of {session.course_id}") as progress:
                looked = checks.look_as_student(session.target(server), progress)
                _need_all_well(session, [one for one in looked if one.name not in broken])
        except BaseException as error:
            _go_back(session, guard, steps, error)
            raise
        _keep(session, guard)
    return report


def _need_all_well(session: Session, looked: list[checks.Check]) -> None:
    bad = next((one for one in looked if not one.ok), None)
    if bad:
        raise not_right(session.course_id, bad)


def _keep(session: Session, guard: Talk) -> None:
    try:
        guard.say("keep")
        found = guard.hear(lambda _line: None)
    except (OSError, CoursehubError) as error:
        raise CoursehubError(
            f"{session.course_id}: the connection broke at the end of the upgrade, so it is not known which version "
            f"serves; 'coursehub upgrade {session.course_id}' finishes it"
        ) from error
    if not found.get("kept"):
        raise CoursehubError(f"{session.course_id}: the server put the old version back: {found.get('reason')}")


def _go_back(session: Session, guard: Talk, steps: Steps, error: BaseException) -> None:
    """Tell the server to put the old version back. Raises CoursehubError with both, what failed and what serves."""
    why = str(error) or type(error).__name__
    course_id = session.course_id
    with steps.step("back", f"the old version of {course_id} comes back") as progress:
        try:
            guard.say(f"back {why}")
            found = guard.hear(progress)
        except (OSError, CoursehubError):
            raise CoursehubError(
                f"{course_id}: {why}; the connection broke too, and the server puts the old version back by itself"
            ) from error
    if "error" in found:
        raise CoursehubError(f"{course_id}: {found['error']}; before that: {why}") from error
    what = _without_course(why, course_id).replace("what already works keeps working; ", "")
    raise CoursehubError(
        f"{course_id}: the new version does not work, and the old one serves again after {found['seconds']:.0f} s"
        f"{'; ' + found['lost'] if found['lost'] else ''}: {what}",
        document={"back": found},
    ) from error


def _without_course(text: str, course_id: str) -> str:
    return text.removeprefix(f"{course_id}: ")


def rollback(project: Project, course_id: str, steps: Steps) -> dict[str, Any]:
    """Put the version before the last upgrade back. What people made since stays. May be interrupted and repeated."""
    with claim(project, course_id, "rollback"), contextlib.ExitStack() as held:
        session = reach(project, course_id, steps.say)
        held.enter_context(claim_in_cloud(session.cloud, project, course_id, "rollback"))
        server = session.server(steps.hear())
        ip = str(server.ip)
        found = ask(session, ip, "look")
        if found["no_way_back"]:
            raise CoursehubError(f"{course_id}: {found['no_way_back']}")
        if saved := found.get("saved"):
            steps.say(
                f"{course_id} goes back to {_named(saved['serves'])}, and to the hub's settings of {_moment(saved)}, "
                "the network and sign-in too"
            )
        with steps.step("back", f"the version before of {course_id} comes back") as progress:
            command = [_COMMAND, "rollback"]
            with Talk(session.access, ip, "coursehub-upgrade-back", command, after=f"{_COMMAND} mend") as talk:
                done = talk.hear(progress)
        if "error" in done:
            raise CoursehubError(f"{course_id}: {done['error']}")
        document = {
            "course": course_id,
            "before": found["serves"],
            "after": done["serves"],
            "lost": done["lost"],
            "saved": saved,
        }
        with steps.step("checks", f"look at {course_id} as a student") as progress:
            bad = _still_bad(session, server, progress)
        if bad:
            raise not_right(course_id, bad, document)
    return document


def _still_bad(session: Session, server: Server, progress: Progress) -> checks.Check | None:
    """What a student still cannot do after _SETTLE; None if all is well. The old hub has just started."""
    until = time.monotonic() + _SETTLE
    while True:
        looked = checks.look_as_student(session.target(server), progress)
        bad = next((one for one in looked if not one.ok), None)
        if bad is None or time.monotonic() > until:
            return bad
        time.sleep(1)


def ask(session: Session, ip: str, *words: str) -> dict[str, Any]:
    """The answer of one command of the server's coursehub-upgrade. Raises CoursehubError with its error line."""
    with_tool = f"test -x {_COMMAND} || {{ echo none; exit 0; }}; {shlex.join([_COMMAND, *words])} 2>&1 || true"
    said = session.access.run(ip, with_tool, seconds=1800)
    if said.strip() == "none":
        raise CoursehubError(
            f"{session.course_id}: its server was never upgraded, so there is no version before; 'coursehub upgrade "
            f"{session.course_id}' saves one each time it changes something"
        )
    found: dict[str, Any] | None = results.document_in(said)
    if found is None:
        raise CoursehubError(f"{session.course_id}: {(said.strip().splitlines() or ['no answer'])[-1]}")
    if "error" in found:
        raise CoursehubError(f"{session.course_id}: {found['error']}")
    return found


def lines(document: dict[str, Any]) -> list[str]:
    """What a verb of this file did, for a person."""
    course_id = document["course"]
    found = [f"{course_id}: note: {note}" for note in document.get("notes", ())]
    before, after = document.get("before"), document.get("after")
    if before is None or after is None:
        return found
    if "lost" in document:
        found.append(f"{course_id}: serves the version before again, {_named(before)} -> {_named(after)}")
        found.append(
            f"  files, accounts and sessions made since are kept{'; but ' * bool(document['lost'])}{document['lost']}"
        )
        then = _moment(document["saved"]) if document.get("saved") else "that version"
        found.append(f"  the hub's settings are those of {then} again, the network and sign-in too")
        found.append(
            f"  newer settings of the course file, and new people, come with the next 'coursehub upgrade {course_id}'; "
            "until then 'apply' fails and changes nothing"
        )
    elif "trial" in document:
        saved = document.get("saved")
        to = f" to {_named(saved['serves'])}, with the settings of {_moment(saved)}" if saved else ""
        found.append(
            f"{course_id}: {_named(before)} -> {_named(after)}; 'coursehub rollback {course_id}' goes back{to}"
        )
    else:
        found.append(f"{course_id}: the hub is of this version already ({_named(after)})")
    return [*found, *debian.lines(document)]


def _moment(saved: dict[str, Any]) -> str:
    """When a version was saved, in this computer's time."""
    return f"{datetime.datetime.fromtimestamp(saved['at']):%Y-%m-%d %H:%M}"


def _named(names: dict[str, str]) -> str:
    hub = f"JupyterHub {names['jupyterhub']}" if "jupyterhub" in names else "no hub"
    return f"{hub}, environment {names.get('course', 'none')}"
