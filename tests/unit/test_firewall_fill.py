"""Values for the firewall that only the machine knows."""

import os
import pwd
from pathlib import Path

import pytest

from tests.support.loading import load

pytestmark = pytest.mark.unit
FILE = Path(__file__).parents[2] / "formulas/firewall/files/coursehub_firewall_fill.py"


fill = load(FILE)


def test_fill_finds_resolvers_of_both_kinds():
    text = "# nameserver 192.0.2.9\nsearch example.edu\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver x\n"
    assert fill.resolvers(text) == ["10.0.0.2", "fe80::1"]


def test_fill_leaves_out_who_is_not_there():
    assert fill.uids(["no-such-account", "root"]) == ["0"]


def test_fill_replaces_every_set():
    me = pwd.getpwuid(os.getuid()).pw_name
    assert fill.script({"agents": [me], "closed": []}, "nameserver 192.0.2.1\n") == (
        "flush set inet coursehub resolvers4\n"
        "add element inet coursehub resolvers4 { 192.0.2.1 }\n"
        "flush set inet coursehub resolvers6\n"
        "flush set inet coursehub agents\n"
        f"add element inet coursehub agents {{ {os.getuid()} }}\n"
        "flush set inet coursehub closed\n"
    )


def test_fill_checks_without_a_change(tmp_path, monkeypatch):
    for name, text in (("CONFIG", '{"agents": []}'), ("RESOLV_CONF", "nameserver 192.0.2.1\n"), ("FILLED", "old")):
        monkeypatch.setattr(fill, name, tmp_path / name)
        (tmp_path / name).write_text(text)
    given = []
    monkeypatch.setattr(fill.subprocess, "run", lambda argv, **named: given.append((argv, named["input"])))
    assert fill.main(check=True) == 1
    assert fill.main(check=False) == 0
    assert [argv for argv, _ in given] == [["/usr/sbin/nft", "-f", "-"]]
    assert fill.main(check=True) == 0
    (tmp_path / "RESOLV_CONF").write_text("nameserver 192.0.2.2\n")
    assert fill.main(check=True) == 1
    assert len(given) == 1
