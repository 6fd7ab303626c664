"""coursehub-cert as it lies in the formula, for tests of its decisions."""

from __future__ import annotations

import datetime
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

FILES = Path(__file__).resolve().parents[2] / "formulas" / "letsencrypt" / "files"


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
    """The package's modules, with all of its places below ``directory``."""
    modules = package()
    patch.setattr(modules.places, "CONFIG", directory / "cert.json")
    patch.setattr(modules.places, "STATE", directory / "state")
    patch.setattr(modules.places, "LETSENCRYPT", directory / "letsencrypt")
    return modules


def issue(cert: SimpleNamespace, config: Any, names: Sequence[str], *, how: str = "webroot", days: int = 90) -> None:
    """Put a certificate where certbot would, ordered by the plugin ``how``."""
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
