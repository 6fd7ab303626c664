"""Loads coursehub-cert from the formula, for tests of its decisions."""

from __future__ import annotations

import datetime
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

FILES = Path(__file__).resolve().parents[2] / "formulas" / "letsencrypt" / "files"
NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)
HERE = frozenset({"192.0.2.10", "2001:db8::10"})


def package() -> SimpleNamespace:
    """All modules of the package by name."""
    names = sorted(path.stem for path in (FILES / "coursehub_cert").glob("*.py") if path.stem != "__init__")
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    sys.path.insert(0, str(FILES))
    try:
        return SimpleNamespace(**{name: importlib.import_module(f"coursehub_cert.{name}") for name in names})
    finally:
        sys.path.remove(str(FILES))
        sys.dont_write_bytecode = before


def within(directory: Path, patch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The package's modules, with all of their paths below ``directory``."""
    modules = package()
    patch.setattr(modules.places, "CONFIG", directory / "cert.json")
    patch.setattr(modules.places, "STATE", directory / "state")
    patch.setattr(modules.places, "CARRIED", directory / "carried.json")
    patch.setattr(modules.places, "LETSENCRYPT", directory / "letsencrypt")
    return modules


def issue(cert: SimpleNamespace, config: Any, names: Sequence[str], *, how: str = "webroot", days: int = 90) -> None:
    """Create a certificate as certbot would with the plugin ``how``."""
    config.lineage.mkdir(parents=True, exist_ok=True)
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    leaf = trustme.CA().issue_cert(*names, not_before=end - datetime.timedelta(days=4000), not_after=end)
    leaf.private_key_pem.write_to_path(str(config.lineage / "privkey.pem"))
    (config.lineage / "fullchain.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    for name in ("cert", "chain"):
        (config.lineage / f"{name}.pem").write_bytes((config.lineage / "fullchain.pem").read_bytes())
    renewal = cert.places.LETSENCRYPT / "renewal"
    renewal.mkdir(parents=True, exist_ok=True)
    (renewal / f"{config.names[0]}.conf").write_text(
        f"[renewalparams]\nserver = {config.directory}\nauthenticator = {how}\n"
    )


@pytest.fixture
def cert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return within(tmp_path, monkeypatch)


@pytest.fixture
def config(cert: SimpleNamespace, tmp_path: Path) -> Any:
    raw = {
        "names": ["hub.example.org", "www.hub.example.org"],
        "email": "p@example.org",
        "directory": "https://ca.example.org/dir",
        "addresses": sorted(HERE),
        "webroot": str(tmp_path / "www"),
        "live": str(tmp_path / "ssl" / "hub.example.org"),
        "reload": ["touch", str(tmp_path / "reloaded")],
        "dns_wait": 0,
        "ttl_wait": 0,
        "carried_days": 30,
        "challenge": "http",
        "open_dns": [],
        "close_dns": [],
    }
    cert.places.CONFIG.write_text(json.dumps(raw))
    return cert.config.Config.read(cert.places.CONFIG)


def run(
    cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch, names: dict[str, str], trouble: str = ""
) -> tuple[Any, list[Any]]:
    """One run with this DNS and a CA that issues, or that fails with `trouble`."""
    asked: list[Any] = []

    def ask(config_: Any, wanted: Any, **_: Any) -> str:
        asked.append(tuple(wanted))
        if not trouble:
            issue(cert, config_, list(wanted))
        return trouble

    monkeypatch.setattr(cert.running, "look", lambda config_, _: cert.names.Dns(*_dns(config_.names, names)))
    monkeypatch.setattr(cert.authority, "ask_ca", ask)
    monkeypatch.setattr(cert.authority, "answers_here", lambda *_: "")
    return cert.running.run(config, timer=False, plan=False), asked


def _dns(wanted: Any, names: dict[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    here = tuple(name for name in wanted if names.get(name) == "here")
    return here, {name: "not in DNS" for name in wanted if name not in here}


@pytest.fixture
def certbot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that the test writes and that is found instead of certbot."""
    program = tmp_path / "path" / "certbot"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program
