"""kitchen.yml as the wrapper reads it: as Test Kitchen would, and what is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from runner.errors import CoursehubError
from runner.packages import lock
from runner.project import Project
from tests.kitchen import side_by_side
from tests.kitchen.wrapper import actions, config, sandbox
from tests.kitchen.wrapper.__main__ import ROOT, main

pytestmark = pytest.mark.unit

FILE = ROOT / "tests" / "kitchen" / "kitchen.yml"
SMALL: dict[str, Any] = {
    "driver": {"name": "digitalocean", "size": "s-1vcpu-1gb"},
    "provisioner": {
        "name": "salt_solo",
        "pillars": {"top.sls": {"base": {"*": ["one"]}}, "one.sls": {"a": {"b": 1, "c": [1, 2]}}},
    },
    "platforms": [
        {"name": "debian-12"},
        {"name": "debian-13.5", "provisioner": {"pillars": {"one.sls": {"a": {"b": 2, "c": [3]}}}}},
    ],
    "suites": [
        {"name": "all"},
        {
            "name": "a_suite",
            "driver": {"size": "s-2vcpu-2gb"},
            "provisioner": {"pillars": {"one.sls": {"a": {"b": 3}}}},
        },
    ],
}

Read = Callable[..., tuple[config.Instance, ...]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads SMALL after the argument has changed it."""

    def reading(change: Callable[[dict[str, Any]], Any] = lambda _: None) -> tuple[config.Instance, ...]:
        document = copy.deepcopy(SMALL)
        change(document)
        (tmp_path / "kitchen.yml").write_text(yaml.safe_dump(document, sort_keys=False))
        return config.load(tmp_path / "kitchen.yml", tmp_path)

    return reading


def names(instances: tuple[config.Instance, ...]) -> list[str]:
    return [instance.name for instance in instances]


def test_names_are_those_that_test_kitchen_makes(read: Read) -> None:
    assert names(read()) == ["all-debian-12", "all-debian-135", "a-suite-debian-12", "a-suite-debian-135"]


def test_suite_goes_over_platform_and_platform_over_global(read: Read) -> None:
    pillars = {one.name: one.provisioner.pillars["one.sls"]["a"] for one in read()}
    assert pillars == {
        "all-debian-12": {"b": 1, "c": [1, 2]},
        "all-debian-135": {"b": 2, "c": [3]},
        "a-suite-debian-12": {"b": 3, "c": [1, 2]},
        "a-suite-debian-135": {"b": 3, "c": [3]},
    }
    assert [one.driver.size for one in read()] == ["s-1vcpu-1gb", "s-1vcpu-1gb", "s-2vcpu-2gb", "s-2vcpu-2gb"]


@pytest.mark.parametrize(
    ("suite", "platforms"),
    [
        ({"includes": ["debian-12"]}, ["debian-12"]),
        ({"excludes": ["debian-12"]}, ["debian-13.5"]),
        ({"includes": ["debian-12"], "excludes": ["debian-12"]}, ["debian-12"]),
        ({"includes": ["/13/"]}, ["debian-13.5"]),
        ({"excludes": ["/DEBIAN-1[0-2]$/i"]}, ["debian-13.5"]),
        ({"includes": [], "excludes": []}, ["debian-12", "debian-13.5"]),
    ],
)
def test_includes_and_excludes(read: Read, suite: dict[str, list[str]], platforms: list[str]) -> None:
    found = read(lambda document: document["suites"][0].update(suite))
    assert [one.platform for one in found if one.suite == "all"] == platforms


def test_a_plugins_name_alone_and_an_empty_section(read: Read) -> None:
    found = read(lambda document: (document.update(verifier="shell"), document["suites"][0].update(provisioner=None)))
    assert found[0].verifier.command == "true"


def at(document: dict[str, Any], *path: str | int) -> Any:
    for part in path:
        document = document[part]  # type: ignore[index]
    return document


@pytest.mark.parametrize(
    ("path", "key", "said"),
    [
        ((), "suits", r"unknown key suits; did you mean suites\?"),
        (("driver",), "sise", r"unknown key driver\.sise; did you mean size\?"),
        (("provisioner",), "pillar", r"unknown key provisioner\.pillar; did you mean pillars\?"),
        (("provisioner",), "gpg_key", r"unknown key provisioner\.gpg_key; the keys here are name, root_path"),
        (("platforms", 1), "driverr", r"unknown key platforms\.debian-13\.5\.driverr; did you mean driver\?"),
        (("platforms", 1, "provisioner"), "pilars", r"unknown key platforms\.debian-13\.5\.provisioner\.pilars; did"),
        (("suites", 1), "include", r"unknown key suites\.a_suite\.include; did you mean includes\?"),
        (("suites", 1, "driver"), "imagee", r"unknown key suites\.a_suite\.driver\.imagee; did you mean image\?"),
    ],
)
def test_an_unknown_key_is_refused_by_name_at_every_level(read: Read, path: Any, key: str, said: str) -> None:
    with pytest.raises(CoursehubError, match=said) as refused:
        read(lambda document: at(document, *path).update({key: "x"}))
    assert refused.value.exit_code == 2
    assert str(refused.value).startswith("kitchen.yml:")


def test_an_unknown_key_of_a_dependency(read: Read) -> None:
    wrong = [{"name": "hub", "path": "salt", "repoo": "git"}]
    with pytest.raises(CoursehubError, match=r"unknown key provisioner\.dependencies\.hub\.repoo"):
        read(lambda document: document["provisioner"].update(dependencies=wrong))


def test_the_line_is_the_keys_own(tmp_path: Path) -> None:
    text = "platforms:\n  - name: debian-12\nsuites:\n  - name: one\n    provisioner:\n      state_tops: {}\n"
    (tmp_path / "kitchen.yml").write_text(text)
    with pytest.raises(CoursehubError, match=r"^kitchen\.yml:6: .*did you mean state_top\?"):
        config.load(tmp_path / "kitchen.yml", tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["driver"].update(name="vagrant"), "driver.name: .*'digitalocean'"),
        (
            lambda d: d["provisioner"].update(salt_version=3008.3),
            r"provisioner\.salt_version: should be a valid string",
        ),
        (lambda d: d["provisioner"].update(root_path="/tmp/a b"), r"provisioner\.root_path"),
        (lambda d: d.update(suites=[]), "suites: "),
        (lambda d: d.pop("platforms"), "platforms is missing; add it"),
        (lambda d: d["suites"].append({"name": "all"}), "suites has all twice; rename one"),
        (lambda d: d["suites"][0].update(includes=["debian-11"]), r"suites\.all\.includes: no platform debian-11; did"),
    ],
)
def test_what_else_is_refused(read: Read, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    with pytest.raises(CoursehubError, match=said) as refused:
        read(change)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("text", ["a: [", "just text", "", "a: 1\na: 2\n"])
def test_what_is_no_kitchen_file_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "kitchen.yml").write_text(text)
    with pytest.raises(CoursehubError, match=r"^kitchen\.yml:\d+: ") as refused:
        config.load(tmp_path / "kitchen.yml", tmp_path)
    assert "\n" not in str(refused.value)


def test_choosing(read: Read) -> None:
    found = read()
    assert config.choose(found, None) == config.choose(found, "all") == list(found)
    assert names(tuple(config.choose(found, "all-debian-12"))) == ["all-debian-12"]
    assert names(tuple(config.choose(found, "suite"))) == ["a-suite-debian-12", "a-suite-debian-135"]
    for wrong, said in (("al-debian-12", "did you mean all-debian-12"), ("(", "not a pattern")):
        with pytest.raises(CoursehubError, match=said):
            config.choose(found, wrong)


def test_each_formula_and_the_hub_has_a_suite_on_both_platforms() -> None:
    formulas = {path.parent.name for path in (ROOT / "formulas").glob("*/init.sls")}
    found = config.load(FILE, ROOT)
    assert {one.suite for one in found} == formulas | {"hub"}
    assert {(one.suite, one.platform) for one in found} == {
        (suite, platform) for suite in formulas | {"hub"} for platform in ("debian-12", "debian-13")
    }
    for one in found:
        assert (ROOT / f"tests/kitchen/suites/test_{one.suite}.py").is_file()


def test_the_file_has_no_templating_and_the_salt_that_is_locked() -> None:
    text = FILE.read_text()
    assert "<%" not in text
    version = yaml.safe_load(text)["provisioner"]["salt_version"]
    assert f"salt=={version}" in (ROOT / "requirements" / "runner.in").read_text().splitlines()


def test_the_courses_lock_fits_its_packages() -> None:
    hub = next(one for one in config.load(FILE, ROOT) if one.suite == "hub")
    packages = hub.provisioner.pillars["courses/kitchen.sls"]["course"]["packages"]
    base = (ROOT / lock.BASE).read_text() + (ROOT / lock.OVERRIDES).read_text()
    wanted = lock.inputs_digest(base, lock.parse_packages(packages, "kitchen.yml"))
    assert lock.locked_digest(ROOT / "tests/kitchen/locks/kitchen.txt") == wanted, "see tests/kitchen/README.md"


def test_names_that_need_dns() -> None:
    found = {one.name: one.hostnames for one in config.load(FILE, ROOT)}
    assert found["hub-debian-13"] == ("debian-13.coursehub.test", "www.debian-13.coursehub.test")
    assert found["letsencrypt-debian-12"] == ("certificate.debian-12.coursehub.test",)
    assert found["nginx-debian-12"] == ()
    everything = [name for names in found.values() for name in names]
    assert len(everything) == len(set(everything))


def test_two_kitchens_share_no_name() -> None:
    file = config.load(FILE, ROOT)
    names = [{name for one in file for name in one.below(label).hostnames} for label in ("11111111", "22222222")]
    assert names[0]
    assert not names[0] & names[1]
    assert all(name.endswith(".11111111.coursehub.test") for name in names[0])
    # Only machines' names are changed; an e-mail address is not.
    hub = next(one for one in file if one.suite == "hub").below("11111111")
    assert hub.provisioner.pillars["courses/kitchen.sls"]["course"]["contact"] == "kitchen@coursehub.test"
    assert hub.zone == "11111111.coursehub.test"
    certificate = next(one for one in file if one.suite == "letsencrypt").below("11111111")
    sites = certificate.provisioner.pillars["certificate.sls"]["nginx"]["sites"]
    assert tuple(sites) == certificate.hostnames


def test_the_sandbox_is_laid_out_as_kitchen_salt_lays_it_out(tmp_path: Path) -> None:
    hub = next(one for one in config.load(FILE, ROOT) if one.name == "hub-debian-13")
    overlay = {"network.sls": {"base": {"extra_ca": {"school": "PEM"}}}, "unknown.sls": {"not": "there"}}
    sandbox.build(hub, ROOT, tmp_path, overlay, aggregate=None)
    states, pillar, etc = tmp_path / "srv/salt", tmp_path / "srv/pillar", tmp_path / "etc/salt"
    for file in ("nginx/init.sls", "hub/init.sls", "_states/uv_env.py", "locks/kitchen.txt", "top.sls"):
        assert (states / file).is_file(), file
    assert not list(states.rglob("README.md"))
    assert (pillar / "hub.sls").read_bytes() == (ROOT / "pillar/hub.sls").read_bytes()
    assert yaml.safe_load((pillar / "network.sls").read_text()) == {"base": {"extra_ca": {"school": "PEM"}}}
    assert not (pillar / "unknown.sls").exists()
    course = yaml.safe_load((pillar / "courses/kitchen.sls").read_text())["course"]
    assert (course["domain"], course["upload_limit"]) == ("debian-13.coursehub.test", "3M")
    assert "&" not in (pillar / "people.sls").read_text()
    minion = yaml.safe_load((etc / "minion").read_text())
    assert minion["file_roots"] == {"base": ["/tmp/kitchen/srv/salt"]}
    # As on a class's server.
    ours = yaml.safe_load((ROOT / "salt/config/master").read_text())["ssh_minion_opts"]
    off = {key: ours[key] for key in ("disable_states", "disable_modules")}
    assert yaml.safe_load((etc / "minion.d/99-minion.conf").read_text()) == {"state_aggregate": ["pkg"], **off}


@pytest.mark.parametrize(
    ("said", "off"),
    [({"salt_minion_extra_config": {"disable_states": []}}, []), ({"salt_install": False}, None)],
)
def test_modules_of_salt_are_switched_on_by_a_file_that_says_so(
    tmp_path: Path, read: Read, said: dict[str, object], off: object
) -> None:
    (tmp_path / "mine").mkdir()
    one = read(lambda document: document["provisioner"].update(formula="mine", **said))[0]
    sandbox.build(one, tmp_path, tmp_path / "target", {}, None)
    written = yaml.safe_load((tmp_path / "target/etc/salt/minion.d/99-minion.conf").read_text())
    assert written.get("disable_states") == off


@pytest.mark.parametrize(("aggregate", "wanted"), [(True, ["pkg"]), (False, False)])
def test_aggregation_can_be_switched(tmp_path: Path, aggregate: bool, wanted: object) -> None:
    uv = next(one for one in config.load(FILE, ROOT) if one.suite == "uv")
    sandbox.build(uv, ROOT, tmp_path, {}, aggregate)
    assert yaml.safe_load((tmp_path / "etc/salt/minion.d/99-minion.conf").read_text())["state_aggregate"] == wanted


def test_one_formula_alone(tmp_path: Path, read: Read) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "init.sls").write_text("a: test.nop\n")
    (tmp_path / "_modules").mkdir()
    (tmp_path / "_modules" / "one.py").write_text("")
    one = read(lambda document: document["provisioner"].update(formula="mine", grains={"roles": ["web"]}))[0]
    target = tmp_path / "target"
    target.mkdir()
    sandbox.build(one, tmp_path, target, {}, None)
    assert (target / "srv/salt/mine/init.sls").is_file()
    assert (target / "srv/salt/_modules/one.py").is_file()
    assert yaml.safe_load((target / "etc/salt/grains").read_text()) == {"roles": ["web"]}


@pytest.mark.parametrize("key", ["state_collection", "formula"])
def test_a_path_that_is_not_there(tmp_path: Path, read: Read, key: str) -> None:
    one = read(lambda document: document["provisioner"].update({key: "nowhere"}))[0]
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(CoursehubError, match=rf"provisioner\.{key}: .*nowhere is not there"):
        sandbox.build(one, tmp_path, target, {}, None)


def test_the_highstates_command(read: Read) -> None:
    one = read(lambda document: document["provisioner"].update(salt_minion_id="kitchen"))[0]
    command = actions.salt_call(one)
    assert command.startswith("cd / && python3 /tmp/kitchen/thin/salt-call --local --config-dir=/tmp/kitchen/etc/salt")
    assert command.endswith("--id=kitchen state.highstate")
    own = read(lambda d: d["provisioner"].update(salt_install=False, salt_call_command="/opt/salt/bin/salt-call"))[0]
    assert actions.salt_call(own).startswith("cd / && /opt/salt/bin/salt-call --local")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "nginx-debian-14"], "did you mean nginx-debian-1"),
        (["converge", "--frob"], "No such option"),
        (["frobnicate"], "No such command"),
        (["--file", "nowhere.yml", "list"], "there is no "),
        (["--host", "root@192.0.2.1", "create"], "--host is one machine"),
        (["--host", "root@192.0.2.1", "create", "uv-debian-12"], "--host needs --key"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--state", str(tmp_path / "state"), *arguments]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert said in errors[-1]
    assert len(errors) == 1


def test_list_shows_every_instance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--state", str(tmp_path / "state"), "list", "hub"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Instance", "Suite", "Platform", "Last", "Action"]
    assert [line.split()[0] for line in lines[1:]] == [
        "hub-debian-12", "hub-debian-13", "jupyterhub-debian-12", "jupyterhub-debian-13",
    ]  # fmt: skip


def test_second_interrupt_still_stops_the_local_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C, while it waits for the pools."""
    instance = side_by_side.INSTANCES[0]
    item = SimpleNamespace(originalname="test_suite", callspec=SimpleNamespace(params={"instance": instance}))
    request = SimpleNamespace(
        session=SimpleNamespace(items=[item]), config=SimpleNamespace(getoption=lambda _name: False)
    )
    stopped: list[Path] = []
    monkeypatch.setattr(side_by_side.local, "ensure_running", lambda *_: None)
    monkeypatch.setattr(side_by_side.local, "stop", lambda state, _report: stopped.append(state))
    monkeypatch.setattr(side_by_side, "ThreadPoolExecutor", _Impatient)
    run = side_by_side.runs.__wrapped__(SimpleNamespace(mktemp=lambda _name: tmp_path), request)
    assert list(next(run)) == [instance.name]
    with pytest.raises(KeyboardInterrupt):
        run.close()
    assert stopped == [Project(tmp_path).state]


class _Impatient:
    """A pool whose user does not wait for its end."""

    def __init__(self, _workers: int) -> None:
        pass

    def submit(self, *_: object) -> None:
        pass

    def shutdown(self, **_: object) -> None:
        raise KeyboardInterrupt
