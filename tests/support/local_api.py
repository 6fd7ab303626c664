"""The local cloud's API without root: machines in memory, all answers checked against the provider's description."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from runner.local import api
from runner.local.cloud import Cloud
from runner.local.faults import Faults
from runner.local.machine import MachineSpec
from runner.local.server import _Protocol, cut
from runner.local.store import Store
from runner.local.walls import Wall
from tests.support.contract import Contract, check_contract

TOKEN = "a-token-for-tests"


@dataclass
class MemoryMachines:
    """Machines with only the states on and off. ``boots`` counts starts; ``hold`` keeps machines from getting ready."""

    on: set[int] = field(default_factory=set)
    boots: dict[int, int] = field(default_factory=dict)
    stops: list[tuple[int, bool]] = field(default_factory=list)
    specs: dict[int, MachineSpec] = field(default_factory=dict)
    hold: threading.Event = field(default_factory=threading.Event)
    refused: int = 0
    broken: Exception | None = None
    walls: tuple[Wall, ...] = ()

    def start(self, spec: MachineSpec) -> None:
        if self.broken:
            self.refused += 1
            raise self.broken
        self.specs[spec.droplet_id] = spec
        self.boots[spec.droplet_id] = self.boots.get(spec.droplet_id, 0) + 1
        self.on.add(spec.droplet_id)

    def stop(self, spec: MachineSpec, *, graceful: bool) -> None:
        self.stops.append((spec.droplet_id, graceful))
        self.on.discard(spec.droplet_id)

    def destroy(self, spec: MachineSpec) -> None:
        self.on.discard(spec.droplet_id)
        self.specs.pop(spec.droplet_id, None)

    def running(self, spec: MachineSpec) -> bool:
        return spec.droplet_id in self.on

    def ready(self, spec: MachineSpec) -> bool:
        return spec.droplet_id in self.on and not self.hold.is_set()

    def address(self, slot: int) -> str:
        return f"10.101.1.{slot}"

    def address6(self, slot: int) -> tuple[str, str]:
        return f"fd63:6f75:7273:6501::{slot:x}", "fd63:6f75:7273:6501::1"

    def enforce(self, walls: tuple[Wall, ...]) -> None:
        self.walls = walls


@dataclass
class Api:
    """A served API: loopback, a real HTTP server, machines in memory."""

    url: str
    cloud: Cloud
    machines: MemoryMachines
    state: Path
    contract: Contract
    #: Plain HTTP: loading the host's certificates for each client would take most of the tests' time.
    client: httpx.Client = field(default_factory=lambda: httpx.Client(verify=False, timeout=10, trust_env=False))

    def call(self, method: str, path: str, body: Any = None, *, token: str = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        answer = self.client.request(method, f"{self.url}/v2/{path}", json=body, headers=headers)
        check_contract(method, str(answer.url), answer)
        return answer

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.call(method, path, body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def wait_action(self, action_id: int) -> Any:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            action = self.ok("GET", f"actions/{action_id}")["action"]
            if action["status"] != "in-progress":
                return action
            time.sleep(0.01)
        raise AssertionError(f"action {action_id} did not end")


@contextlib.contextmanager
def served(state: Path, machines: MemoryMachines | None = None) -> Iterator[Api]:
    machines = machines or MemoryMachines()
    store = Store(state / "account.json")
    cloud = Cloud(store, machines, lambda _line: None)
    with cloud.changing():
        if not store.account.domains:
            store.add_domain("coursehub.test")
    app = api.make_app(
        cloud, token=TOKEN, gateway="10.101.1.1", netmask="255.255.255.0", faults=Faults(state / "faults.json"), cut=cut
    )
    contract = Contract(app._app)
    app._app = contract  # type: ignore[assignment]
    # No handlers of its own: they would write to the output of the test in which it started.
    config = uvicorn.Config(
        app, port=0, http=_Protocol, ws="none", lifespan="off", log_level="critical", log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    cloud.resume()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Api(f"http://127.0.0.1:{port}", cloud, machines, state, contract)
    finally:
        cloud.close()
        server.should_exit = True
        thread.join(timeout=5)
    assert not contract.broken, contract.broken
