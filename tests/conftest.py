"""What suites share: options, reasons to skip, and the hub that is brought up once for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from runner.servers.access import Access
from tests.support.hub import Hub
from tests.support.sandbox import REPO, Sandbox
from tests.support.visiting import visits


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep", action="store_true", help="leave the machines of failed tests, and say how to get in")
    parser.addoption("--quick", action="store_true", help="leave out what takes long: for the inner loop")
    parser.addoption("--hub", metavar="COURSE", help="ask this course's hub, which is up, instead of bringing one up")


#: Files by the beginning of their path, and the costly thing that their tests share. The first that fits counts.
#: "hub" and "attacks" are a hub of the same course each: two processes share what there is to ask of one.
TOGETHER = {
    "tests/kitchen/": "kitchen",
    # One story goes on beside all of them.
    "tests/machine/test_faults": "faults",
    "tests/machine/test_local_cloud": "local cloud",
    "tests/machine/": "hub",
    # Where hub12 is.
    "tests/attacks/test_one_domain": "hub",
    "tests/attacks/": "attacks",
    # Attacks leave many accounts, and the professor's pages become long.
    "tests/browser/": "hub",
    "tests/data/": "data",
    "tests/load/": "hub",
    # These read files and render nothing.
    "tests/render/test_house": "house",
    "tests/render/": "renderings",
    "tests/unit/test_local_server": "servers",
    "tests/unit/test_states_on_a_server": "school",
    "tests/unit/test_verbs_on_a_server": "school",
    "tests/unit/test_jupyterhub": "jupyterhub",
    "tests/unit/test_class_pull": "course environment",
    "tests/unit/test_testing_verb": "pytest in pytest",
    "tests/unit/test_uv_env": "environments",
}
#: Side by side, what takes minutes begins first, so that no process has it left at the end. Of three processes one has
#: "attacks" until the end, one "hub", and one all that has machines of its own.
FIRST = (
    *("attacks", "hub", "kitchen", "faults", "local cloud", "data"),
    *(
        "school",
        "renderings",
        "pytest in pytest",
        "jupyterhub",
        "environments",
        "course environment",
        "servers",
        "house",
    ),
)
assert set(FIRST) <= set(TOGETHER.values())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Side by side, but what is shared is made once: by the one process that gets all tests that share it, in order.

    xdist's own marks for this (``xdist_group``) have no effect with pytest 9.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByWhatIsShared(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    # The order of the collection, not the number of tests, says what begins.
    config.option.loadscopereorder = False
    return ByWhatIsShared(config, log)


def _group(nodeid: str) -> str:
    return next((name for path, name in TOGETHER.items() if nodeid.startswith(path)), nodeid)


#: What `--quick` leaves out: tests that make environments, servers or repositories, and older releases.
SLOW = frozenset({"school", "servers", "jupyterhub", "course environment", "environments", "pytest in pytest"})
OLDER_RELEASES = ("debian-12", "ubuntu-24.04")


def _leave_out_slow(config: pytest.Config, items: list[pytest.Item]) -> None:
    def slow(item: pytest.Item) -> bool:
        rendered = item.nodeid.startswith("tests/render/")
        return _group(item.nodeid) in SLOW or (rendered and any(one in item.name for one in OLDER_RELEASES))

    left_out = [item for item in items if slow(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not slow(item)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs machines where there can be none, with one line of reason; CI must not skip."""
    for item in items:
        # A hub on the older Debian takes minutes. Marked here, before pytest's own `-m` chooses.
        if {"hub12", "one_domain"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.long)
    if config.getoption("--quick"):
        _leave_out_slow(config, items)
    if hasattr(config, "workerinput"):
        rank = {name: place for place, name in enumerate(FIRST)}
        items.sort(key=lambda item: rank.get(_group(item.nodeid), len(rank)))
    wants_machine = [
        item for item in items if any(item.get_closest_marker(m) for m in ("machine", "kitchen", "browser", "attacks"))
    ]
    if not wants_machine:
        return
    from runner import local

    reason = local.why_unavailable()
    if not reason:
        return
    if os.environ.get("CI"):
        raise pytest.UsageError(f"CI must run the machine tests, and cannot: {reason}")
    for item in wants_machine:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A working copy with a local cloud of its own, which is gone afterwards."""
    made = Sandbox.make(tmp_path_factory.mktemp("coursehub"))
    yield made
    if request.config.getoption("--keep") and request.session.testsfailed:
        print(f"\nkept: cd {made.root}")
        for directory in sorted((made.project.state / "servers").glob("*/")):
            access = Access(made.project, directory.name)
            server = access.server()
            if server:
                print(" ".join(access.argv(str(server.ip))))
        return
    done = made.run("local", "stop")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def hub(request: pytest.FixtureRequest) -> Hub:
    """The demo course on Debian 13, which all tests of one process use, each after the other; with --hub that one."""
    if course := request.config.getoption("--hub"):
        return Hub.standing(REPO, course)
    sandbox: Sandbox = request.getfixturevalue("sandbox")
    made = Hub("demo", sandbox.json("up", "demo"), sandbox)
    made.fresh.update(made.made_of())
    return made


@pytest.fixture(scope="session")
def hub12(sandbox: Sandbox) -> Hub:
    """The same course on Debian 12, on a small machine of its own, with all servers under the hub's own name."""
    sandbox.copy_course(
        "demo",
        "twelve",
        **{
            sandbox.domain("demo"): f"twelve-{os.getpid()}.coursehub.test",
            "  cloud: local ": "  isolation: paths\n  cloud: local ",
            "debian-13-x64": "debian-12-x64",
            "s-4vcpu-8gb": "s-2vcpu-4gb",
        },
    )
    return Hub("twelve", sandbox.json("up", "twelve"), sandbox)


@pytest.fixture(scope="session")
def one_domain(request: pytest.FixtureRequest) -> Hub:
    """A hub that has `isolation: paths`: hub12; with --hub that one, if it has."""
    course = request.config.getoption("--hub")
    if not course:
        return request.getfixturevalue("hub12")
    hub = Hub.standing(REPO, course)
    if visits(hub):
        pytest.skip("this hub has isolation: subdomains")
    return hub
