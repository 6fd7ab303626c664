"""A server's directories with a version of the hub, for tests of what an upgrade does on a server."""

from __future__ import annotations

import grp
import io
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coursehub_upgrade import guard, timers, trial, version
from coursehub_upgrade.config import Config


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A server's directories, with the version `old` and a database."""
    monkeypatch.setattr(trial, "RUNTIME_UNITS", tmp_path / "run/units")
    monkeypatch.setattr(Config, "closed", property(lambda _: tmp_path / "run/trial"))
    # Everybody may give a file to the own group.
    monkeypatch.setattr(trial, "PROXY", grp.getgrgid(os.getegid()).gr_name)
    monkeypatch.setattr(version, "RESERVE", 1 << 16)
    names = {name: tmp_path / name for name in ("place", "hub", "course", "state", "salt", "units", "run", "gone")}
    for name, path in names.items():
        if name != "gone":
            path.mkdir()
    made = Config(
        place=names["place"],
        allowed=names["run"] / "allowed",
        went_back=names["place"] / "went-back",
        hub=names["hub"],
        course=names["course"],
        state=names["state"],
        database=names["state"] / "hub.sqlite",
        salt=names["salt"],
        account="coursehub-trial",
        groups=("class",),
        check="coursehub-check",
        saved=(names["hub"], names["course"], names["units"], names["gone"]),
        copied=(names["hub"], names["course"]),
    )
    install(made, "old")
    with sqlite3.connect(made.database) as db:
        db.executescript(SCHEMA.format(more="", revision="one"))
        db.execute("INSERT INTO users (name, cookie_id) VALUES ('ada', 'c1')")
    return made


#: The tables of JupyterHub that people's doings are in, with few columns. A newer one has one more column.
SCHEMA = """
CREATE TABLE alembic_version (version_num TEXT);
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, cookie_id TEXT {more});
CREATE TABLE groups (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE user_group_map (user_id INTEGER, group_id INTEGER);
CREATE TABLE oauth_clients (id INTEGER PRIMARY KEY, identifier TEXT);
CREATE TABLE servers (id INTEGER PRIMARY KEY, base_url TEXT);
CREATE TABLE spawners (id INTEGER PRIMARY KEY, user_id INTEGER, server_id INTEGER);
CREATE TABLE api_tokens (id INTEGER PRIMARY KEY, user_id INTEGER, service_id INTEGER, hashed TEXT);
INSERT INTO alembic_version VALUES ('{revision}');
"""


def install(config: Config, name: str) -> None:
    """What the states of a version write."""
    for parent, link in ((config.hub / "hub", "current"), (config.hub / "proxy", "current")):
        (parent / name).mkdir(parents=True, exist_ok=True)
        (parent / name / ".complete").touch()
        switch(parent / link, parent / name)
    (config.course / "envs" / name).mkdir(parents=True, exist_ok=True)
    (config.course / "envs" / name / ".complete").touch()
    switch(config.course / "env", config.course / "envs" / name)
    (config.hub / "lib").mkdir(exist_ok=True)
    (config.hub / "lib/code.py").write_text(f"VERSION = {name!r}\n")
    (config.saved[2] / "jupyterhub.service").write_text(name)


def switch(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def served(config: Config) -> tuple[str, ...]:
    links = (config.hub / "hub/current", config.hub / "proxy/current", config.course / "env")
    unit = config.saved[2] / "jupyterhub.service"
    code = (config.hub / "lib/code.py").read_text().split("'")[1]
    return (*(link.resolve().name for link in links), unit.read_text(), code)


OLD, NEW = ("old",) * 5, ("new",) * 5


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that would run on a server; all succeed."""
    called: list[str] = []

    def run(argv: Any, **_: Any) -> str:
        called.append(" ".join(map(str, argv)))
        return ""

    def quietly(argv: Any, *_: Any) -> bool:
        called.append(" ".join(map(str, argv)))
        return True

    for module in (version, trial, timers):
        monkeypatch.setattr(module, "run", run, raising=module is not timers)
        monkeypatch.setattr(module, "quietly", quietly)
    return called


def guarded(config: Config, read: int, speak: Callable[[], None]) -> dict[str, Any]:
    """Run the guard with this end of a pipe; ``speak`` plays the runner, once the version that serves is saved."""

    def wait() -> None:
        deadline = time.monotonic() + 30
        while not config.allowed.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        speak()

    speaker = threading.Thread(target=wait)
    speaker.start()
    with os.fdopen(read) as words:
        done = guard.guard(config, words, io.StringIO(), {})
    speaker.join()
    return done
