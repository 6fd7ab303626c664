"""The cloud's one long-lived process: API, metadata, name server, pebble's keeper and the watch over the machines.

Run as `python -m runner.local.server --state DIR`, by `runner.local.ensure_running`. It may be killed at any moment:
machines and pebble keep running, and the next server takes them over.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import secrets
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from runner.errors import CoursehubError
from runner.files import write_whole
from runner.local import api, backups, below, dns, metadata, network
from runner.local.api.guard import Guard
from runner.local.cloud import Cloud
from runner.local.faults import Faults
from runner.local.host import ProcessId, set_hosts_lines
from runner.local.identity import BACKUP_PORT, DNS_PORT, METADATA_PORT, ZONE, Identity
from runner.local.machine import NspawnBackend
from runner.local.pebble import Pebble
from runner.local.removing import remove_forgotten
from runner.local.source import source_key
from runner.local.store import Domain, Store

HOSTS_SECONDS = 0.2
RST = struct.pack("ii", 1, 0)


class _Protocol(H11Protocol):
    """HTTP over connections that a fault can cut."""

    by_client: dict[tuple[str, int], asyncio.Transport] = {}  # noqa: RUF012  # shared on purpose

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.by_client[transport.get_extra_info("peername")[:2]] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        for peer, transport in list(self.by_client.items()):
            if transport is self.transport:
                del self.by_client[peer]
        super().connection_lost(exc)


def cut(client: tuple[str, int]) -> None:
    """Reset a client's connection."""
    transport = _Protocol.by_client.get((client[0], client[1]))
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        transport.abort()


def main(argv: list[str] | None = None) -> int:
    """Serve until killed. If it cannot start, print one line on standard error and exit with 1."""
    parser = argparse.ArgumentParser(prog="runner.local.server")
    parser.add_argument("--state", type=Path, required=True)
    identity = Identity.of(parser.parse_args(argv).state)
    # The machines' files are created here; private files set their mode themselves.
    os.umask(0o022)
    try:
        asyncio.run(_serve(identity))
    except (CoursehubError, OSError) as error:
        log(f"cannot serve: {error}")
        return 1
    return 0


def log(line: str) -> None:
    """Write one line with the time to standard error, which is the log."""
    print(f"{datetime.datetime.now(datetime.UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


async def _serve(identity: Identity) -> None:
    directory = identity.directory
    # This refers to the same directory even if its path is replaced later.
    home = Path(f"/proc/self/fd/{os.open(directory, os.O_PATH | os.O_DIRECTORY)}")
    subnet = network.ensure(identity)
    store = Store(directory / "account.json")
    backend = NspawnBackend(identity, subnet, log)
    cloud = Cloud(store, backend, log)
    with cloud.changing():
        if not store.account.domains:
            store.add_domain(ZONE)

    def domains() -> list[Domain]:
        with cloud.reading() as current:
            return [domain.model_copy(deep=True) for domain in current.account.domains]

    dns.serve(subnet.gateway, DNS_PORT, domains)
    pebble = Pebble(
        directory / "pebble",
        subnet.gateway,
        log,
        identity.keys_address,
        lambda: [domain.name for domain in domains()],
    )
    pebble.start()
    cloud.resume()

    token = _token(directory)
    app = api.make_app(
        cloud,
        token=token,
        gateway=subnet.gateway,
        netmask=str(subnet.network.netmask),
        faults=Faults(directory / "faults.json"),
        cut=cut,
    )
    listener = _listener(directory)
    main_server = uvicorn.Server(_config(app, http=_Protocol))
    metadata_server = uvicorn.Server(_config(metadata.make_app(cloud)))
    metadata_listener = _bind(subnet.gateway, METADATA_PORT)
    backup_server = uvicorn.Server(_config(backups.make_app(identity.state)))
    backup_listener = _bind(subnet.gateway, BACKUP_PORT)
    port = listener.getsockname()[1]
    process = ProcessId.of(os.getpid())
    assert process is not None  # noqa: S101  # we are alive
    facts = {
        "pid": process.pid,
        "started": process.started,
        "source": source_key(),
        "port": port,
        "gateway": subnet.gateway,
        "acme_ca": str(pebble.ca),
        "ca_bundle": str(pebble.bundle),
    }
    write_whole(directory / "server.json", json.dumps(facts))

    def keep_hosts() -> None:
        _keep_hosts(identity, home, domains)
        _end_unrecorded(identity, home, cloud, backend, pebble)

    threading.Thread(target=keep_hosts, name="hosts", daemon=True).start()
    log(f"serving on port {port}, machines on {subnet.network}")
    await asyncio.gather(
        main_server.serve(sockets=[listener]),
        metadata_server.serve(sockets=[metadata_listener]),
        backup_server.serve(sockets=[backup_listener]),
    )
    cloud.close()
    pebble.close()


def _config(app: Starlette | Guard, http: type[H11Protocol] = H11Protocol) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


def _token(directory: Path) -> str:
    path = directory / "token"
    if not path.exists():
        write_whole(path, secrets.token_hex(32), 0o600)
    return path.read_text()


def _listener(directory: Path) -> socket.socket:
    """Listen on the previous port if it is free, so that a printed endpoint stays valid."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return _bind("127.0.0.1", int(json.loads((directory / "server.json").read_text())["port"]))
    return _bind("127.0.0.1", 0)


def _bind(address: str, port: int) -> socket.socket:
    """A socket that listens already: early clients wait until the server is ready instead of being refused."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _keep_hosts(identity: Identity, home: Path, domains: Callable[[], list[Domain]]) -> None:
    """Keep /etc/hosts in step with the address records, so that a browser on this host finds the machines.

    Of the names below a wildcard it contains those that courses use.

    Returns when the cloud's directory no longer names this process as its server.
    """
    shown: dict[str, str] | None = None
    names: dict[str, str] = {}
    known: object = None
    while _is_recorded(home):
        files = [_version(path) for path in (home / "account.json", *below.files(home))]
        # To work out hundreds of names five times a second takes a tenth of a processor.
        if files != known:
            known = files
            zones = domains()
            names = below.addresses(home, zones) | {
                dns.full_name(record, domain): record.data
                for domain in zones
                for record in domain.records
                if record.type == "A" and "*" not in record.name
            }
        if names != shown:
            try:
                # Names that another cloud uses are tried again, because it may end.
                shown = set_hosts_lines(identity.hosts_mark, names)
            except OSError as error:
                log(f"/etc/hosts: {error}")
        time.sleep(HOSTS_SECONDS)


def _version(path: Path) -> tuple[str, int, int]:
    """What tells two versions of a file apart that is always replaced as a whole."""
    try:
        found = path.stat()
    except OSError:
        return path.name, 0, 0
    return path.name, found.st_ino, found.st_mtime_ns


def _is_recorded(home: Path) -> bool:
    """False only if it is certain: an unreadable record may be half-written, or its disk may have a problem."""
    try:
        return bool(json.loads((home / "server.json").read_text())["pid"] == os.getpid())
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError):
        return True


def _end_unrecorded(identity: Identity, home: Path, cloud: Cloud, backend: NspawnBackend, pebble: Pebble) -> None:
    """End this process, which `stop` could not find and which would run for ever.

    Machines and pebble keep running for the next server, as after a kill, which finds them in the account. If the
    account was deleted too, there is no next server for them, and they are removed.
    """
    # Somebody may be in the middle of deleting the directory by hand.
    time.sleep(HOSTS_SECONDS)
    try:
        # From here to the end of the process no other thread makes or saves anything.
        with cloud.reading(), backend.still():
            if not (home / "account.json").exists():
                log("the cloud's directory was deleted; removing its machines and ending")
                remove_forgotten(identity, pebble)
            else:
                log("server.json was deleted or names another server; ending")
            os._exit(0)
    except Exception as error:
        log(f"not everything could be removed: {error!r}")
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
