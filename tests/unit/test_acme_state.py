"""The state acme.certificate and its interpretation of coursehub-cert's output."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.loading import load

pytestmark = pytest.mark.unit
SOURCE = Path(__file__).resolve().parents[2] / "salt" / "_states" / "acme.py"
GOOD = {
    "changed": False, "wanted": False, "ok": True, "covered": ["hub.example.org"], "missing": {},
    "expires": "2027-02-20T21:38:35+00:00", "warnings": [], "reason": "",
}  # fmt: skip


def state(stdout: str, *, test: bool = False, script: bool = True, stderr: str = "") -> tuple[ModuleType, list[Any]]:
    module = load(SOURCE)
    called: list[Any] = []

    def run_all(argv: list[str], **_: Any) -> dict[str, Any]:
        called.append(argv)
        return {"stdout": stdout, "stderr": stderr, "retcode": 0}

    module.__dict__["__opts__"] = {"test": test}
    module.__dict__["__salt__"] = {"cmd.run_all": run_all, "file.file_exists": lambda _: script}
    return module, called


def test_settled_changes_nothing() -> None:
    module, called = state(json.dumps(GOOD))
    ret = module.certificate("hub.example.org")
    assert ret["result"] is True and ret["changes"] == {} and "warnings" not in ret
    assert called == [["/usr/local/sbin/coursehub-cert", "run"]]
    assert "good until 2027-02-20" in ret["comment"]


def test_a_new_certificate_is_a_change() -> None:
    module, _ = state(json.dumps({**GOOD, "changed": True, "wanted": True, "reason": "no certificate yet"}))
    assert module.certificate("hub.example.org")["changes"]["names"] == ["hub.example.org"]


def test_failure_is_loud_and_does_not_stop_the_highstate() -> None:
    document = {
        **GOOD,
        "ok": False,
        "wanted": True,
        "covered": [],
        "expires": "",
        "warnings": ["no certificate: CA is down"],
    }
    module, _ = state("noise\n" + json.dumps(document))
    ret = module.certificate("hub.example.org")
    assert ret["result"] is True and ret["changes"] == {}
    assert "WARNING no certificate: CA is down" in ret["comment"]
    assert ret["warnings"] == ["no certificate: CA is down"]


def test_plan_says_what_would_be_asked() -> None:
    module, called = state(json.dumps({**GOOD, "wanted": True, "reason": "new in DNS: www"}), test=True)
    ret = module.certificate("hub.example.org")
    assert ret["result"] is None and called[0][1] == "plan"
    settled, _ = state(json.dumps(GOOD), test=True)
    assert settled.certificate("hub.example.org")["result"] is True


def test_plan_on_a_fresh_machine() -> None:
    module, called = state("", test=True, script=False)
    ret = module.certificate("hub.example.org")
    assert ret["result"] is None and called == []


def test_a_script_that_fails_is_one_line() -> None:
    module, _ = state(
        "", stderr="Traceback\n  at x\n/etc/coursehub/cert.json: broken; apply the state letsencrypt again"
    )
    ret = module.certificate("hub.example.org")
    assert ret["result"] is False
    assert (
        ret["comment"] == "coursehub-cert failed: /etc/coursehub/cert.json: broken; apply the state letsencrypt again"
    )
