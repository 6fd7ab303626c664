"""The programs of a server on which a new version of the hub is tried: only Debian's and the new version's are fake."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from coursehub_upgrade import main, trial
from coursehub_upgrade.config import Config

from tests.support.programs import Programs

#: What the states of the new version write into the copies, as `salt-call` of the server would.
SALT_CALL = """
import json, os, pathlib, sys
copies, hub, answer = pathlib.Path({copies!r}), {hub!r}, {answer!r}
assert pathlib.Path({allowed!r}).exists(), "the states may not change a version"
new = copies / hub.lstrip("/") / "hub/new"
(new / "bin").mkdir(parents=True)
(new / ".complete").touch()
for name, text in {{"etc/jupyterhub/jupyterhub_config.py": "c = 1\\n",
                   "etc/systemd/system/jupyterhub.service": "[Service]\\nType=notify\\n",
                   "etc/systemd/system/jupyterhub-proxy.service": "[Service]\\nType=exec\\n"}}.items():
    path = copies / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
pathlib.Path({asked!r}).write_text(json.dumps(sys.argv[1:]))
print(answer)
"""
WORKED = json.dumps({"local": {"uv_env_|-hub_|-hub_|-installed": {"result": True}}})
SECONDS = {"sign-in": 0.1, "server": 0.2, "kernel": 0.3}

#: Runs what systemd would run in a unit; the mounts of a unit are not there.
SYSTEMD_RUN = """
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
#: The hub's Python: migrates the copy of the database, or says what a student's look would say.
PYTHON = """#!/bin/sh
if [ "$2" = -c ]; then exec {migrate}; fi
cat > {asked}
{look}
"""


@dataclass
class Trial:
    """A server on which ``coursehub-upgrade`` runs in the test's process."""

    config: Config
    programs: Programs
    root: Path
    run: Callable[..., tuple[int, dict[str, Any]]]

    @property
    def said(self) -> str:
        """What the progress said during the last command."""
        return (self.root / "said").read_text(encoding="utf-8")

    @property
    def asked(self) -> Any:
        """What the look at the new hub was asked to do."""
        return json.loads((self.root / "asked.json").read_text(encoding="utf-8"))

    @property
    def states(self) -> list[str]:
        """The arguments of the states."""
        words: list[str] = json.loads((self.root / "states.json").read_text(encoding="utf-8"))
        return words

    def new_version(self, *, states: str = WORKED, look: str | None = None, migrate: str | None = None) -> None:
        """What the new version does; ``look`` and ``migrate`` are shell commands."""
        config = self.config
        text = SALT_CALL.format(
            copies=str(config.trial / "files"),
            hub=str(config.hub),
            answer=states,
            allowed=str(config.allowed),
            asked=str(self.root / "states.json"),
        )
        (config.salt / "salt-call").write_text(text)
        (config.salt / "salt_state.tgz").write_bytes(b"the states")
        copy = config.copy_of(config.database)
        python = config.hub / "hub/old/bin/python"
        python.parent.mkdir(exist_ok=True)
        python.write_text(
            PYTHON.format(
                migrate=migrate or f"""sqlite3 {copy} "UPDATE alembic_version SET version_num = 'two'" """,
                asked=self.root / "asked.json",
                look=look or f"echo '{json.dumps(SECONDS)}'",
            )
        )
        python.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        return [" ".join(words) for words in self.programs.calls(name)]


@pytest.fixture
def server(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Trial:
    """A server with the version `old`; a student's look at the new one works."""
    programs = Programs.install(tmp_path / "programs", monkeypatch)
    for name in ("systemctl", "useradd", "userdel", "pkill", "usermod", "systemd-tmpfiles", "nginx", "sync"):
        programs.add(name)
    programs.add("systemd-run", SYSTEMD_RUN)
    programs.add("chpasswd", f"cat > {tmp_path}/chpasswd")
    programs.add("getent", f"cat {tmp_path}/account 2>/dev/null || [ $1 = group ]")
    programs.add("journalctl", "echo '[I 10:00 app] all is well'; echo '[E 10:01 app] no module named x'")
    programs.add("sqlite3", 'exec python3 -c "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as db:'
                 ' db.execute(sys.argv[2])" "$@"')  # fmt: skip
    monkeypatch.setattr(main.configuration, "read", lambda: config)
    monkeypatch.setattr(trial, "LEAST_ROOM", 0)

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main.main(list(words))
        said = capsys.readouterr().out
        (tmp_path / "said").write_text(said, encoding="utf-8")
        document: dict[str, Any] = json.loads(said.splitlines()[-1])
        return code, document

    made = Trial(config, programs, tmp_path, run)
    made.new_version()
    return made


def revision(path: Path) -> str:
    with sqlite3.connect(path) as db:
        (found,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(found)
