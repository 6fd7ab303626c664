"""The certificate authority: keeps pebble running, and remembers every root that it ever made, for browsers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from runner.errors import CoursehubError
from runner.files import write_whole
from runner.local.host import ProcessId
from runner.local.identity import ACME_PORT, DNS_PORT, KEYS_PORT

START_SECONDS = 60.0
WATCH_SECONDS = 0.5
# The maximum pause before pebble is started again after a failed start.
MAX_PAUSE_SECONDS = 30.0
CERTIFICATE_DAYS = 90


class Pebble:
    """pebble on the gateway's address. Its process survives ours and is found again by the next server."""

    def __init__(
        self,
        directory: Path,
        gateway: str,
        log: Callable[[str], None],
        keys_address: str = "127.0.0.1",
        zones: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """Only root may use ``keys_address``. The root certificate covers reserved names and names below ``zones``."""
        self._directory = directory
        self._gateway = gateway
        self._log = log
        self._keys = (keys_address, KEYS_PORT)
        self._zones = zones
        # The inputs of the present bundle.
        self._remembered: tuple[object, ...] = ()
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
        """The PEM of all roots that pebble has used, oldest first."""
        return self._directory / "ca-bundle.pem"

    def start(self) -> None:
        """Start pebble, or take over a running one, and keep it running."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Imported here: every verb loads this module, but only the local cloud's server starts pebble.
        from runner.local.https import make_https_certificate

        make_https_certificate(self._directory, self._gateway)
        self._ensure()
        threading.Thread(target=self._watch, name="pebble", daemon=True).start()

    def close(self) -> None:
        """Stop watching; pebble keeps running."""
        self._stop.set()

    def end(self) -> None:
        """Stop watching, and stop pebble, which is found even if its record was deleted."""
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
                # The watch must survive every error; otherwise the cloud would have no certificates until somebody
                # notices.
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
                self._log(f"pebble: {error!r}; looking again in {pause:.0f} s")

    def _ensure(self) -> None:
        if self._child is not None:
            self._child.poll()
        process = self.process(self._directory) or self._process
        if process and process.alive():
            self._process = process
            self._remember_root()
            return
        if not (self._directory / "https.pem").exists():
            # Writing would create again a directory that somebody has deleted, for a pebble that cannot serve.
            raise CoursehubError(f"its certificate {self._directory / 'https.pem'} is gone; stop the local cloud")
        with self._lock:
            if self._stop.is_set():
                return
            child = self._launch()
        self._remember_root()
        self._log(f"pebble started, process {child.pid}")

    def _launch(self) -> subprocess.Popen[bytes]:
        config = self._directory / "config.json"
        write_whole(config, json.dumps(self._config()), 0o600)
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin"),
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": "0",
            # Validate every challenge of each order; by default half of them are skipped at random.
            "PEBBLE_AUTHZREUSE": "0",
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
            write_whole(self._directory / "process.json", json.dumps(self._process.__dict__))
        return child

    @staticmethod
    def process(directory: Path) -> ProcessId | None:
        """The pebble process in this directory's record."""
        try:
            return ProcessId(**json.loads((directory / "process.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _config(self) -> dict[str, object]:
        return {
            "pebble": {
                "listenAddress": f"{self._gateway}:{ACME_PORT}",
                # It gives the root's private key to every client; the firewall allows only root.
                "managementListenAddress": "{}:{}".format(*self._keys),
                "certificate": str(self._directory / "https.pem"),
                "privateKey": str(self._directory / "https.key"),
                "httpPort": 80,
                "tlsPort": 443,
                "ocspResponderURL": "",
                "externalAccountBindingRequired": False,
                "certificateValidityPeriod": CERTIFICATE_DAYS * 86400,
            }
        }

    def _remember_root(self) -> None:
        """Add the present root to the bundle, constrained to the cloud's present names."""
        from runner.local.https import names_of, with_root

        names = names_of(self._zones())
        wanted = (self._process, names)
        if self._remembered == wanted:
            return
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                root, key = (self._ask(path) for path in ("/roots/0", "/root-keys/0"))
                break
            except OSError:
                # If the process ended, waiting longer does not help.
                if time.monotonic() > deadline or (self._child is not None and self._child.poll() is not None):
                    raise
                time.sleep(0.05)
        known = self.bundle.read_text() if self.bundle.exists() else ""
        made = with_root(known, root, key, names)
        if made != known:
            write_whole(self.bundle, made)
        self._remembered = wanted

    def _ask(self, path: str) -> str:
        """Ask pebble's management interface; an older process listens where its own configuration says."""
        config = json.loads((self._directory / "config.json").read_text())
        host, _, port = config["pebble"]["managementListenAddress"].rpartition(":")
        context = ssl.create_default_context(cafile=str(self.ca))
        with (
            socket.create_connection((host, int(port)), 2) as line,
            context.wrap_socket(line, server_hostname="localhost") as tls,
        ):
            connection = http.client.HTTPConnection("localhost")
            connection.sock = tls
            connection.request("GET", path)
            return connection.getresponse().read().decode()
