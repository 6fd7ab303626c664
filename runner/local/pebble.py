"""The certificate authority: pebble, kept running, with every root it ever made remembered for browsers."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from runner.errors import CoursehubError
from runner.local.host import ProcessId, write_atomic
from runner.local.identity import ACME_PORT, DNS_PORT

START_SECONDS = 60.0
WATCH_SECONDS = 0.5
# One that does not come up is not started again and again without a pause.
MAX_PAUSE_SECONDS = 30.0
CERTIFICATE_DAYS = 90


class Pebble:
    """pebble on the gateway's address; its process outlives ours and is found again by the next server."""

    def __init__(self, directory: Path, gateway: str, log: Callable[[str], None]) -> None:
        self._directory = directory
        self._gateway = gateway
        self._log = log
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._process: ProcessId | None = None

    @property
    def ca(self) -> Path:
        """The PEM of the authority that signed pebble's own HTTPS certificate."""
        return self._directory / "acme-ca.pem"

    @property
    def bundle(self) -> Path:
        """The PEM of all roots that pebble has issued from, oldest first."""
        return self._directory / "ca-bundle.pem"

    def start(self) -> None:
        """Start, or adopt, pebble and keep it running."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Not above: every verb loads this module, and only the local cloud's server starts pebble.
        from runner.local.https import make_https_certificate

        make_https_certificate(self._directory, self._gateway)
        self._ensure()
        threading.Thread(target=self._watch, name="pebble", daemon=True).start()

    def close(self) -> None:
        """Stop watching; pebble goes on."""
        self._stop.set()

    def end(self) -> None:
        """Stop watching, and pebble, which is found even when its record was deleted."""
        self._stop.set()
        with self._lock:
            if self._process:
                self._process.signal(signal.SIGKILL)

    def _watch(self) -> None:
        pause = WATCH_SECONDS
        while not self._stop.wait(pause):
            try:
                self._ensure()
                pause = WATCH_SECONDS
            except Exception as error:
                # A watch that died would leave the cloud without certificates until somebody notices.
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
                self._log(f"pebble: {error!r}; looking again in {pause:.0f} s")

    def _ensure(self) -> None:
        if self._child is not None:
            self._child.poll()
        process = self.process(self._directory) or self._process
        if process and process.alive():
            self._process = process
            return
        if not (self._directory / "https.pem").exists():
            # Writing on would make the directory anew that somebody has deleted, for a pebble that cannot serve.
            raise CoursehubError(f"its certificate {self._directory / 'https.pem'} is gone; stop the local cloud")
        port = _free_port()
        with self._lock:
            if self._stop.is_set():
                return
            child = self._launch(port)
        self._remember_root(port, child)
        self._log(f"pebble started, process {child.pid}")

    def _launch(self, port: int) -> subprocess.Popen[bytes]:
        config = self._directory / "config.json"
        write_atomic(config, json.dumps(self._config(port)), 0o600)
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin"),
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": "0",
        }
        with (self._directory / "pebble.log").open("wb") as output:
            child = subprocess.Popen(
                ["pebble", "-config", str(config), "-dnsserver", f"{self._gateway}:{DNS_PORT}"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env=environment,
            )
        self._child = child
        self._process = ProcessId.of(child.pid)
        if self._process:
            write_atomic(self._directory / "process.json", json.dumps(self._process.__dict__))
        return child

    @staticmethod
    def process(directory: Path) -> ProcessId | None:
        """The pebble that this directory's records name."""
        try:
            return ProcessId(**json.loads((directory / "process.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _config(self, management_port: int) -> dict[str, object]:
        return {
            "pebble": {
                "listenAddress": f"{self._gateway}:{ACME_PORT}",
                # Gives the root's private key to whoever asks: for this host alone.
                "managementListenAddress": f"127.0.0.1:{management_port}",
                "certificate": str(self._directory / "https.pem"),
                "privateKey": str(self._directory / "https.key"),
                "httpPort": 80,
                "tlsPort": 443,
                "ocspResponderURL": "",
                "externalAccountBindingRequired": False,
                "certificateValidityPeriod": CERTIFICATE_DAYS * 86400,
            }
        }

    def _remember_root(self, port: int, child: subprocess.Popen[bytes]) -> None:
        context = ssl.create_default_context(cafile=str(self.ca))
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"https://127.0.0.1:{port}/roots/0", context=context, timeout=2) as answer:
                    root = answer.read().decode()
                break
            except OSError:
                # Dead, it will not answer however long we wait.
                if time.monotonic() > deadline or child.poll() is not None:
                    raise
                time.sleep(0.05)
        known = self.bundle.read_text() if self.bundle.exists() else ""
        if root.strip() not in known:
            write_atomic(self.bundle, known + root.strip() + "\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
