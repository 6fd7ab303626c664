"""A restore of a whole server that runs again, that fails, or whose course has two targets; with a real restic."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from coursehub_backup import accounts, choosing, everything, main, report, restoring, saving, state, trees, working
from coursehub_backup.config import Config, Target
from coursehub_backup.numbers import Numbers
from coursehub_backup.restic import Restic
from coursehub_backup.restoring import RestoreError, Version

from tests.support.backups import config_of, here, restic_program, root
from tests.support.whole_server import NEW, results, server

__all__ = ["here", "root", "server"]
pytestmark = pytest.mark.unit


def another(root: Path, name: str) -> Restic:
    """A second target."""
    target = Target(name, str(root / name))
    return Restic(target, program=restic_program(), place=root / "etc", state=root / "state", cache=root / "cache")


def why(name: str) -> str:
    return next(one["why"] for one in state.read(report.RECORD)["parts"] if one["name"] == name)


def test_target_with_another_servers_backup_is_taken(server: tuple[Config, Restic], root: Path) -> None:
    """A target that comes first by its name has only the new server's own, newer backup."""
    config, restic = server
    first = another(root, "a-new-one")
    assert saving.save(config, first, None)
    assert choosing.find([first, restic], NEW, None).target == "volume"
    assert choosing.find([first, another(root, "empty"), restic], NEW, None).target == "volume"
    with pytest.raises(RestoreError, match="no backup of another server at a-new-one"):
        choosing.find([first], NEW, None)
    # With a time, this server's own ones can be chosen too.
    assert choosing.find([first, restic], NEW, "now").target == "a-new-one"


def test_target_that_does_not_answer_is_named(server: tuple[Config, Restic], root: Path) -> None:
    _, restic = server
    lost = another(root, "lost")
    lost.run("init")
    (root / "lost/config").write_bytes(b"damaged")
    with pytest.raises(RestoreError, match=r"^lost: .*; without it: --target volume$"):
        choosing.find([lost, restic], NEW, None)


def test_second_run_goes_on_with_the_same_backup(server: tuple[Config, Restic], root: Path) -> None:
    """Meanwhile another target got a newer backup of the old server."""
    config, restic = server
    assert everything.run(config, [restic], None)
    assert saving.save(dataclasses.replace(config, server="d" * 32), another(root, "b"), None)
    assert everything.run(config, [another(root, "b"), restic], None)
    assert state.read(report.RECORD)["target"] == "volume"
    assert results()["home nobody"] == "restored"
    assert why("home nobody") == "by an earlier run"
    assert [path.name for path in config.homes.joinpath("nobody").iterdir()] == ["labs"]


def test_results_of_earlier_runs_are_kept(server: tuple[Config, Restic]) -> None:
    config, restic = server
    stolen = "1 files of others were left out"
    for expected in (stolen, f"by an earlier run; {stolen}", f"by an earlier run; {stolen}"):
        assert everything.run(config, [restic], None)
        assert why("directory red") == expected


def test_report_stays_until_a_backup_is_chosen(server: tuple[Config, Restic], monkeypatch: pytest.MonkeyPatch) -> None:
    config, restic = server
    assert everything.run(config, [restic], None)
    before = state.read(report.RECORD)
    report.begin()
    found = state.read(report.RECORD)
    assert found["parts"] == before["parts"]
    assert found["ended"] is None

    def nobody(*_arguments: object) -> None:
        raise RestoreError("one person works")

    monkeypatch.setattr(working, "need_nobody", nobody)
    with pytest.raises(RestoreError):
        everything.run(config, [restic], None)
    assert state.read(report.RECORD)["parts"] == before["parts"]


@pytest.mark.parametrize(
    ("units", "who"),
    [("jupyter-ada.service loaded", "one person works on"), ("jupyter-a.service x\njupyter-b.service x", "2 people")],
)
def test_refusal_names_the_old_servers_backup(units: str, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This server's own backups are newer, with hardly anything in them."""
    listed = subprocess.CompletedProcess([], 0, units, "")
    monkeypatch.setattr(working.subprocess, "run", lambda *_arguments, **_options: listed)
    old = Version("s1", datetime.datetime(2026, 11, 29, 12, 0, 30).astimezone(), target="office")
    with pytest.raises(RestoreError, match="or with --stop-servers, or restore what") as error:
        working.need_nobody(config_of(Path("/nowhere")), old)
    assert who in str(error.value)
    assert str(error.value).endswith("--user ACCOUNT --path . --at '2026-11-29 12:00:31' --target office")


@pytest.mark.parametrize("stop_servers", [False, True])
def test_server_that_comes_before_the_stop_is_ended(
    server: tuple[Config, Restic], monkeypatch: pytest.MonkeyPatch, stop_servers: bool
) -> None:
    """Somebody who starts again and again must not hold the restore off. Who works already is asked about first."""
    config, restic = server
    done: list[str] = []
    running = ["jupyter-ada.service"] if stop_servers else []

    def systemctl(verb: str, _units: object) -> None:
        done.append(verb)
        # One more start that the hub had begun.
        running.append("jupyter-bob.service")

    def end(_config: Config) -> None:
        done.append(f"end {' '.join(running)}")

    monkeypatch.setattr(working, "servers", lambda _config, **_: running)
    monkeypatch.setattr(working, "end_servers", end)
    monkeypatch.setattr(everything, "systemctl", systemctl)
    assert everything.run(config, [restic], None, stop_servers=stop_servers)
    first = "jupyter-ada.service jupyter-bob.service" if stop_servers else "jupyter-bob.service"
    assert done == ["stop", f"end {first}", "start"]
    assert results()["home nobody"] == "restored"


def test_server_that_does_not_end_ends_the_restore(
    server: tuple[Config, Restic], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is restored, and the hub starts again."""
    config, restic = server
    done: list[str] = []
    running: list[str] = []

    def systemctl(verb: str, _units: object) -> None:
        done.append(verb)
        running.append("jupyter-ada.service")

    whole = everything._Whole(config, restic, choosing.find([restic], NEW, None))
    with monkeypatch.context() as during:
        during.setattr(working, "servers", lambda _config, **_: running[:1])
        during.setattr(working.subprocess, "run", lambda argv, **_: done.append(" ".join(argv)))
        during.setattr(everything, "systemctl", systemctl)
        with pytest.raises(RestoreError, match=r"^the server of one person does not end"):
            whole.restore()
    assert done == ["stop", *["systemctl stop jupyter-ada.service"] * 3, "start"]
    assert list(config.homes.joinpath("nobody").iterdir()) == []


def test_half_copied_home_is_tried_again(server: tuple[Config, Restic], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run ends when the home is full: a part of the copy was written."""
    config, restic = server
    home = config.homes / "nobody"
    (home / "mine.txt").write_text("made on the new server")
    shutil.chown(home, "nobody", "nogroup")
    whole = restoring.hand_over

    def full(source: Path, account: str, into: Path) -> None:
        shutil.rmtree(source / "labs/empty")
        whole(source, account, into)
        raise RestoreError("the home is full")

    with monkeypatch.context() as during:
        during.setattr(restoring, "hand_over", full)
        assert not everything.run(config, [restic], None)
    assert results()["home nobody"] == "failed"
    # The part is gone, so the home is not full any more.
    assert [path.name for path in home.iterdir()] == ["mine.txt"]

    assert everything.run(config, [restic], None)
    (copy,) = (path for path in home.iterdir() if path.name.startswith("restored "))
    assert (copy / "labs/empty").is_dir()
    assert "unfinished" not in copy.name


def test_leftover_in_use_stops_only_itself(server: tuple[Config, Restic]) -> None:
    config, restic = server
    left = config.homes / trees.PLACE / ".swapped/ada"
    left.mkdir(parents=True)
    (left / "work.txt").write_text("x")
    assert not everything.run(config, [restic], None)
    assert results()["home nobody"] == results()["directory red"] == "restored"
    assert str(left) in why(f"unpacking in {config.homes}")
    assert (left / "work.txt").read_text() == "x"


def test_error_is_in_the_report_and_not_in_the_journal(
    server: tuple[Config, Restic], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one from before the restore itself, such as apt's."""
    config, _ = server

    def broken(_config: Config) -> None:
        raise OSError(0, "restic for ada could not be installed")

    monkeypatch.setattr(main.configuration, "load", lambda: config)
    monkeypatch.setattr(main.installing, "ensure", broken)
    report.begin()
    assert main.main(["restore-now"]) == 1
    assert "restic for ada" in state.read(report.RECORD)["error"]
    assert "ada" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--target", "ofice"], "no target ofice; there are: volume"), (["--at", "soon"], "'soon' is not a time")],
)
def test_wrong_option_is_refused_before_the_start(
    options: list[str],
    words: str,
    server: tuple[Config, Restic],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, _ = server
    started: list[Any] = []
    monkeypatch.setattr(main.configuration, "load", lambda: config)
    monkeypatch.setattr(everything, "start", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(everything, "progress", lambda: {"running": True})
    assert main.main(["restore-everything", *options]) == 1
    assert words in capsys.readouterr().err
    assert started == []
    assert main.main(["restore-everything", "--target", "volume", "--at", "yesterday"]) == 0
    assert json.loads(capsys.readouterr().out) == {"running": True}
    assert main.main(["restore-everything", "--stop-servers"]) == 0
    assert [words for _, words in started] == [["--target", "volume", "--at", "yesterday"], ["--stop-servers"]]


def test_home_that_the_backup_left_out_is_named(here: tuple[Config, Restic], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner had an account already; somebody who is new to the class has no home in the backup either."""
    config, restic = here
    sources = (*config.sources, "/etc/group", "/etc/shadow")
    config = dataclasses.replace(config, sources=sources, server="b" * 32)
    monkeypatch.setattr(saving.excess, "is_too_much", lambda path, _largest: path.name == "nobody")
    assert saving.save(config, restic, None)
    now = Numbers({"nobody": 5, "new": 6}, {"nobody": 5, "new": 6}, {"users": frozenset(["nobody", "new"])})
    monkeypatch.setattr(Numbers, "here", classmethod(lambda _cls: now))
    monkeypatch.setattr(working, "servers", lambda _config, **_: [])
    monkeypatch.setattr(accounts, "restore", lambda *_arguments: 0)
    monkeypatch.setattr(accounts, "locked", lambda _shadow: frozenset())
    everything.run(config, [restic], "now")
    homes = {name: result for name, result in results().items() if name.startswith("home ")}
    assert homes == {"home nobody": "skipped"}
    assert "this backup has none of it" in why("home nobody")


def test_files_that_could_not_be_read_count_as_a_failure(
    server: tuple[Config, Restic], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, restic = server
    fetch = restoring.fetch_what_is_there
    monkeypatch.setattr(restoring, "fetch_what_is_there", lambda *a: fetch(*a) + 2 * (a[2].name == "nobody"))
    for _ in range(2):
        assert not everything.run(config, [restic], None)
        assert results()["home nobody"] == "partly"
        assert "2 files could not be read from the backup" in why("home nobody")


def test_partly_restored_copy_is_completed(server: tuple[Config, Restic], monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a team's directory are in use, so the backup's files are beside; some came only with the third run."""
    config, restic = server
    home, team = config.homes / "nobody", config.whole.shared / "groups/red"
    (home / "mine.txt").write_text("made on the new server")
    shutil.chown(home, "nobody", "nogroup")
    (team / "new.txt").write_text("the team's, on the new server")
    fetch = restoring.fetch_what_is_there

    def damaged(restic: Restic, snapshot: str, path: Path, into: Path) -> int:
        fetch(restic, snapshot, path, into)
        for name in ("labs/lab.ipynb", "plan.txt"):
            (into / path.name / name).unlink(missing_ok=True)
        return 1

    with monkeypatch.context() as during:
        during.setattr(restoring, "fetch_what_is_there", damaged)
        for _ in range(2):
            assert not everything.run(config, [restic], None)
            for name, where in (("home nobody", "it is in use on"), ("directory red", "it has files already;")):
                assert results()[name] == "partly"
                assert why(name).startswith(where) and "1 files could not be read" in why(name)
    (copy,) = (path for path in home.iterdir() if path.name.startswith("restored "))
    assert not (copy / "labs/lab.ipynb").exists()
    # Its owner goes on working with what came first.
    first = copy / "labs/we*ird [1]?.txt"
    first.write_text("worked on")

    assert everything.run(config, [restic], None)
    assert (results()["home nobody"], results()["directory red"]) == ("beside", "beside")
    assert (copy / "labs/lab.ipynb").read_text() == "{}"
    assert first.read_text() == "worked on"
    assert (home / "mine.txt").exists()
    (whole,) = team.parent.glob("red restored * whole")
    assert (whole / "plan.txt").read_text() == "plan"
    assert str(whole) in why("directory red")
    assert [path.name for path in team.iterdir()] == ["new.txt"]
    assert everything.run(config, [restic], None)
    assert why("home nobody").startswith("by an earlier run; it is in use")
