"""Bad conditions of a morning: odd homes, a hub that restarts in the rush, other packages meanwhile, a neighbour's hog.

Not part of `./coursehub test`; run by `./coursehub test load -k bad_conditions`. --hub COURSE asks a hub that is up,
with the demo course's people, and leaves out what changes the course's files. A home with odd files is afterwards as it
was before.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from shlex import quote

import pytest
import yaml

from runner.hub.client import HubFailure, Kernel
from runner.people.passwords import Passwords
from tests.machine.test_hub import until
from tests.support.attackers import Person
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1800)]

#: Students of the demo course.
ONE, OTHER = "abello", "bcarter"
RUSH = ("cdubois", "dflores", "esato", "fhaddad", "gkim", "hlarsen", "imoreau", "jweber")
#: Seconds until each student of the rush must have a kernel.
LATEST = 300
WORKS = "import numpy, pandas, tornado; print(int(numpy.arange(4).sum()))"

#: What a student's home may contain; the scripts run as its owner, in it.
HOMES = {
    "bashrc": "for one in .bashrc .profile .bash_profile; do echo 'syntax ( error; exit 7' > $one; done",
    "ipython-broken": """
        mkdir -p .ipython/profile_default/startup; cd .ipython/profile_default
        for one in ipython_config ipython_kernel_config startup/00-first; do echo 'raise ValueError(' > $one.py; done
        echo 'import no_such_module' > startup/10-second.py; echo garbage > history.sqlite
    """,
    "ipython-a-file": "rm -rf .ipython; echo mine > .ipython",
    "profile-a-file": "rm -rf .ipython; mkdir .ipython; echo mine > .ipython/profile_default",
    "jupyter-a-file": "rm -rf .jupyter; echo mine > .jupyter",
    "local-a-dead-link": "rm -rf .local; ln -s /nowhere .local",
    "ipython-a-dead-link": "rm -rf .ipython; ln -s /nowhere .ipython",
    "namesakes": """
        for one in numpy tornado random json site sitecustomize usercustomize ipykernel_launcher jupyterhub; do
            echo 'raise SystemExit("this is the wrong one")' > $one.py
        done
    """,
    "old-tornado": """
        for version in 3.11 3.12 3.13; do
            place=.local/lib/python$version/site-packages; mkdir -p $place/tornado
            echo 'raise ImportError("tornado 4.5 is too old")' > $place/tornado/__init__.py
            echo 'raise SystemExit(9)' > $place/usercustomize.py; echo 'import no_such_module' > $place/old.pth
        done
    """,
    "kernel-of-another-year": """
        mkdir -p .local/share/jupyter/kernels/python3
        echo '{"argv": ["/opt/gone/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
               "display_name": "Python 3", "language": "python"}' > .local/share/jupyter/kernels/python3/kernel.json
    """,
}


def person(hub: Hub, account: str) -> Person:
    return Person(hub, account, Passwords(hub.sandbox.project, hub.course).read()[account].clear)


def forget_all(hub: Hub, *people: Person) -> None:
    """End their servers, whatever their state."""
    for one in people:
        one.forget()
        hub.run(f"systemctl stop {one.unit} || true")


def serve(one: Person) -> float:
    """Wait until their server runs; return the seconds."""
    return until(f"the server of {one.account}", lambda: bool(one.serve()), LATEST)


@pytest.fixture
def student(hub: Hub) -> Iterator[Person]:
    """A student without a server; the home is afterwards as it is now."""
    one = person(hub, ONE)
    forget_all(hub, one)
    hub.run(f"rm -rf /root/kept-home; cp -a {one.home} /root/kept-home")
    try:
        yield one
    finally:
        forget_all(hub, one)
        hub.run(
            f"find {one.home} -xdev -mindepth 1 -delete; cp -a /root/kept-home/. {one.home}/; rm -rf /root/kept-home"
        )


@pytest.mark.parametrize("what", HOMES)
def test_odd_home_has_a_server_and_the_courses_kernel(hub: Hub, student: Person, what: str) -> None:
    hub.run(f"cd {student.home} && runuser -u {student.account} -- bash -euc {quote(HOMES[what])}")
    took = serve(student)
    assert student.python(WORKS) == "6"
    where = student.python("import numpy, sys; print(numpy.__file__.startswith(sys.prefix), sys.prefix)")
    assert where.startswith("True /opt/course/envs/"), where
    # The owner can mend it without help.
    gone = student.client.api("DELETE", "/api/contents/works.txt") if _saves(student) else None
    assert gone is not None and gone.status_code == 204
    print(f"\n{what}: a server after {took:.1f} s")


def _saves(student: Person) -> bool:
    note = {"type": "file", "format": "text", "content": "saved"}
    return student.client.api("PUT", "/api/contents/works.txt", json=note).status_code in (200, 201)


def test_full_home_has_a_server_and_a_kernel(hub: Hub, student: Person) -> None:
    """Only where homes have limits: on a disk of the class."""
    if hub.run("mountpoint -q /srv/disk && echo yes || true").strip() != "yes":
        pytest.skip("homes lie on this server's own disk")
    hub.run(
        "systemctl stop coursehub-disk-look.timer coursehub-disk-look.service; "
        f"btrfs qgroup limit 100M {student.home}; cd {student.home}; "
        f"runuser -u {student.account} -- sh -c 'head -c 1G /dev/zero > full; head -c 1G /dev/zero > full2; true'"
    )
    try:
        serve(student)
        assert student.python(WORKS) == "6"
        assert student.client.api("DELETE", "/api/contents/full").status_code == 204
        time.sleep(1)
        assert _saves(student)
    finally:
        hub.run("systemctl start coursehub-disk-look.timer")


# -- the rush ------------------------------------------------------------------------------------------------


@pytest.fixture
def rush(hub: Hub) -> Iterator[list[Person]]:
    """Students without servers, who all come at one moment."""
    people = [person(hub, account) for account in RUSH]
    forget_all(hub, *people)
    try:
        yield people
    finally:
        forget_all(hub, *people)


#: What happens some seconds after they have come. Copies have no parent that could be killed: the files from which
#: servers and kernels start, if the hub uses them, are removed instead.
ACCIDENTS = {
    "hub": "systemctl restart jupyterhub",
    "hub-killed": "systemctl kill --signal=KILL --kill-who=main jupyterhub",
    "proxy-killed": "systemctl kill --signal=KILL --kill-who=main jupyterhub-proxy",
    "images-gone": "rm -f /var/cache/coursehub-warm/*.image /var/cache/coursehub-warm/*.seal",
}


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_everybody_comes_in_though_something_dies(hub: Hub, rush: list[Person], accident: str) -> None:
    """Who worked before goes on, and nobody has to do more than try again."""
    early = person(hub, OTHER)
    forget_all(hub, early)
    serve(early)
    # Each call has names of its own; only builtins stay.
    early.python("import builtins; builtins.kept = 41")

    def comes(one: Person) -> float:
        def works() -> bool:
            try:
                return bool(one.serve()) and one.python(WORKS) == "6"
            except TimeoutError:
                return False

        return until(f"{one.account} in the rush", works, LATEST)

    try:
        with ThreadPoolExecutor(len(rush)) as pool:
            coming = [pool.submit(comes, one) for one in rush]
            time.sleep(3)
            hub.run(ACCIDENTS[accident])
            took = sorted(one.result() for one in coming)
        print(
            f"\n{accident}: {len(took)} students, half within {took[len(took) // 2]:.0f} s, all within {took[-1]:.0f} s"
        )
        until("the early kernel", lambda: early.python("print(kept + 1)") == "42", 60)
        failed = hub.run("systemctl list-units --all --failed --no-legend --plain 'jupyter-*'").strip()
        assert failed == ""
    finally:
        forget_all(hub, early)


# -- other packages under running kernels --------------------------------------------------------------------


@pytest.fixture
def packages(own_hub: None, hub: Hub) -> Iterator[list[str]]:
    """Adds a package to the course: call ``apply`` with the names; afterwards all is as before."""
    del own_hub
    project, course = hub.sandbox.project, hub.course
    files = [project.course_file(course), project.root / f"pillar/files/locks/{course}.txt"]
    before = {path: path.read_bytes() for path in files}
    document = yaml.safe_load(files[0].read_text(encoding="utf-8"))
    document["course"]["packages"] = [*document["course"]["packages"], "tabulate"]
    files[0].write_text("#!yaml\n" + yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    try:
        hub.sandbox.json("lock", course)
        yield ["tabulate"]
    finally:
        for path, content in before.items():
            path.write_bytes(content)
        hub.sandbox.json("apply", course)


def test_kernels_compute_while_packages_change(hub: Hub, rush: list[Person], packages: list[str]) -> None:
    """All of them count seconds during the change; afterwards they import what they had, and new servers the new."""
    for one in rush:
        serve(one)
        one.python("import builtins, sys; builtins.began = sys.prefix")
    kernels: dict[str, Kernel] = {}
    for one in rush:
        started = one.client.api("POST", "/api/kernels", json={"name": "python3"}, timeout=90).json()
        kernels[one.account] = Kernel(one.client, started["id"])
    count = "import time\nfor n in range(60):\n    time.sleep(1)\nprint(n + 1)"
    with ThreadPoolExecutor(len(rush)) as pool:
        counting = {account: pool.submit(kernel.run, count, 300) for account, kernel in kernels.items()}
        assert hub.sandbox.json("apply", hub.course)["courses"][hub.course]["failed"] == 0
        assert {account: one.result() for account, one in counting.items()} == dict.fromkeys(kernels, "60")
    for one in rush:
        assert one.python("import scipy, sympy, sys; print(sys.prefix == began)") == "True"
    late = person(hub, OTHER)
    forget_all(hub, late)
    try:
        serve(late)
        assert late.python(f"import {', '.join(packages)}; print(42)") == "42"
    finally:
        forget_all(hub, late)


# -- a hog ---------------------------------------------------------------------------------------------------

#: Seconds of one measurement, and how often each is repeated.
STRETCH, REPEATS = 10, 3
#: What a neighbour keeps at least of the CPU time that it has alone.
KEEPS = 0.9
#: Prints the CPU seconds that units used within STRETCH: of cgroup v2, or of v1.
_SPENT = """
import json, pathlib, sys, time
root, (length, *units) = pathlib.Path("/sys/fs/cgroup"), sys.argv[1:]
def spent(unit):
    for mounted in (root, root / "unified"):
        file = mounted / "class.slice" / unit / "cpu.stat"
        if file.exists():
            return int(dict(line.split() for line in file.read_text().splitlines())["usage_usec"]) / 1e6
    return int((root / "cpuacct/class.slice" / unit / "cpuacct.usage").read_text()) / 1e9
before = [spent(unit) for unit in units]
time.sleep(float(length))
print(json.dumps([spent(unit) - was for unit, was in zip(units, before)]))
"""
LOOP = "timeout 600 sh -c 'while :; do :; done'"


def spent(hub: Hub, *people: Person) -> list[float]:
    units = " ".join(one.unit for one in people)
    found: list[float] = json.loads(hub.run(f"python3 -I -c {quote(_SPENT)} {STRETCH} {units}", seconds=STRETCH + 60))
    return found


def test_hog_costs_a_neighbour_at_most_a_tenth(hub: Hub) -> None:
    """A student computes in one process; another in many. CPU seconds of both, alone and side by side, in turn."""
    worker, hog = person(hub, ONE), person(hub, OTHER)
    forget_all(hub, worker, hog)
    alone, beside, hogs = [], [], []
    try:
        for one in (worker, hog):
            serve(one)
        with contextlib.suppress(TimeoutError, HubFailure):
            worker.shell(f"setsid nohup {LOOP} > /dev/null 2>&1 & true")
        for _ in range(REPEATS):
            alone.append(spent(hub, worker)[0])
            hog.shell(f"for n in $(seq 16); do setsid nohup {LOOP} > /dev/null 2>&1 & done; true")
            time.sleep(2)
            with_hog, of_hog = spent(hub, worker, hog)
            beside.append(with_hog)
            hogs.append(of_hog)
            hub.run(f"pkill -u {hog.account} -f 'while :' || true")
            time.sleep(2)
        ratio = sum(beside) / sum(alone)
        print(
            f"\nCPU seconds in {STRETCH} s: alone {[round(one, 1) for one in alone]}, beside the hog "
            f"{[round(one, 1) for one in beside]}, the hog {[round(one, 1) for one in hogs]}: {ratio:.0%} kept"
        )
        # Who shares the processors with other programs of this computer has less for each of its own, hog or not.
        cores = min(int(hub.run("nproc")), 2)
        used = (sum(beside) + sum(hogs)) / (STRETCH * REPEATS)
        assert used > 0.9 * cores, f"this computer is too busy for a measurement: they got {used:.1f} of {cores} cores"
        assert sum(hogs) > 0.5 * sum(beside), "the hog did not compute"
        assert ratio >= KEEPS
    finally:
        forget_all(hub, worker, hog)
