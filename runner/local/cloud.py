"""The cloud behind the API: changes the account and machines, and watches the machines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from runner.errors import CoursehubError
from runner.local.catalog import SIZES
from runner.local.cgroups import Limits
from runner.local.machine import MachineBackend, MachineSpec
from runner.local.manners import Manners
from runner.local.store import Action, Droplet, Store, now
from runner.local.walls import Wall, walls_of

BOOT_SECONDS = 120.0
WATCH_SECONDS = 0.25
# Maximum pause before a machine that keeps dying is booted again. A machine that lived this long does not count as one.
MAX_PAUSE_SECONDS = 10.0
# Far more than there are droplets, so no action in progress is ever dropped.
MAX_ACTIONS = 2000


class ApiError(Exception):
    """An error answer in the provider's words."""

    def __init__(self, status: int, id: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.id = id
        self.message = message


def unprocessable(message: str) -> ApiError:
    """The error for a valid request that cannot be carried out."""
    return ApiError(422, "unprocessable_entity", message)


class _ClosingError(Exception):
    """The server closes while a machine boots."""


class Cloud:
    """Droplets and their actions. Thread-safe; use the account only inside ``changing()``."""

    def __init__(self, store: Store, backend: MachineBackend, log: Callable[[str], None]) -> None:
        self.store = store
        self.backend = backend
        self.manners = Manners(store.beside("manners.json"))
        self._log = log
        self._lock = threading.RLock()
        self._machine_locks: dict[int, threading.RLock] = {}
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="action")
        self._stop = threading.Event()
        self._failures: dict[int, tuple[int, float]] = {}
        # Droplets that are down and whose remaining processes were killed.
        self._swept: set[int] = set()
        # What the machines' walls let in now; None until they were looked at.
        self._walls: tuple[Wall, ...] | None = None

    @contextmanager
    def changing(self) -> Iterator[Store]:
        """The account, locked; saved at the end."""
        with self._lock:
            before = self.store.account.model_dump_json()
            yield self.store
            if self.store.account.model_dump_json() != before:
                self.store.save()
                self._enforce()

    def _enforce(self) -> None:
        """Bring the walls in front of the machines to what the account's firewalls say."""
        walls = walls_of(self.store.account)
        if walls != self._walls:
            self.backend.enforce(walls)
            self._walls = walls

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """The account, locked."""
        with self._lock:
            yield self.store

    def resume(self) -> None:
        """Continue what an earlier server left unfinished, then watch."""
        with self.reading() as store:
            self._enforce()
            pending = [action for action in store.account.actions if action.status == "in-progress"]
        for action in pending:
            self.perform(action)
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def close(self) -> None:
        """Stop watching without waiting for boots.

        Machines keep running; the next server continues unfinished boots.
        """
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def spec(self, droplet: Droplet) -> MachineSpec:
        """The specification of a droplet's machine."""
        size = SIZES[droplet.size]
        return MachineSpec(
            droplet_id=droplet.id,
            slot=droplet.slot,
            name=droplet.name,
            image=droplet.image,
            limits=Limits(memory=size.memory * 1024**2, vcpus=size.vcpus),
            disk=droplet.disk,
            user_data=droplet.user_data,
            public_keys=tuple(droplet.public_keys),
            ipv6=droplet.ipv6,
        )

    def new_action(
        self, store: Store, droplet: Droplet, kind: str, argument: dict[str, object] | None = None
    ) -> Action:
        """Record an action on a droplet; `perform` carries it out. Raises ApiError while another one runs."""
        if self._pending(store, droplet.id) or self.manners.is_pending(droplet):
            raise unprocessable("Droplet already has a pending event.")
        action = Action(
            id=store.new_id(),
            droplet_id=droplet.id,
            type=kind,
            region=droplet.region,
            started_at=now(),
            argument=argument or {},
        )
        store.account.actions.append(action)
        del store.account.actions[:-MAX_ACTIONS]
        return action

    def perform(self, action: Action) -> Future[None]:
        """Carry out an action in the background."""
        return self._pool.submit(self._perform, action)

    def destroy(self, droplet_id: int) -> None:
        """Remove a droplet and its machine. Its actions are kept, as the provider does."""
        with self.reading() as store:
            droplet = _find(store, droplet_id)
            if droplet is None:
                raise ApiError(404, "not_found", "The resource you were accessing could not be found.")
            if self.manners.is_pending(droplet):
                raise unprocessable("Droplet already has a pending event.")
            spec = self.spec(droplet)
            # From here on the watch ignores it, and a boot in progress stops.
            droplet.on = False
        with self._machine_lock(droplet_id):
            self.backend.destroy(spec)
            with self.changing() as store:
                store.account.droplets = [d for d in store.account.droplets if d.id != droplet_id]
                self.manners.gone(droplet)
                for firewall in store.account.firewalls:
                    firewall.droplet_ids = [number for number in firewall.droplet_ids if number != droplet_id]
                for action in store.account.actions:
                    if action.droplet_id == droplet_id and action.status == "in-progress":
                        _finish(action, "errored")
        self._machine_locks.pop(droplet_id, None)

    def _machine_lock(self, droplet_id: int) -> threading.RLock:
        with self._lock:
            return self._machine_locks.setdefault(droplet_id, threading.RLock())

    def _pending(self, store: Store, droplet_id: int) -> bool:
        return any(a.droplet_id == droplet_id and a.status == "in-progress" for a in store.account.actions)

    def _perform(self, action: Action) -> None:
        try:
            with self._machine_lock(action.droplet_id):
                self._do(action)
            outcome = True
        except _ClosingError:
            # The action stays in progress; the next server continues it (``resume``).
            return
        except Exception as error:
            # Whatever the error, the action must end; otherwise its droplet would stay locked.
            detail = error if isinstance(error, CoursehubError) else repr(error)
            self._log(f"action {action.type} on droplet {action.droplet_id} failed: {detail}")
            outcome = False
        with self.changing():
            if action.status == "in-progress":
                _finish(action, "completed" if outcome else "errored")

    def _do(self, action: Action) -> None:
        with self.changing() as store:
            droplet = _find(store, action.droplet_id)
            if droplet is None:
                return
            wanted_on = action.type in ("create", "power_on", "reboot", "power_cycle") or (
                action.type in ("rename",) and droplet.on
            )
            droplet.on = wanted_on
            if action.type == "resize":
                droplet.size = SIZES[str(action.argument["size"])].slug
            if action.type == "rename":
                droplet.name = str(action.argument["name"])
                return
            spec = self.spec(droplet)
        if action.type not in ("create", "power_on"):
            self.backend.stop(spec, graceful=action.type in ("shutdown", "reboot"))
        if wanted_on:
            self.backend.start(spec)
            self._wait_ready(spec)
        with self.changing():
            droplet.status = "active" if wanted_on else "off"

    def _wait_ready(self, spec: MachineSpec) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            if self.backend.ready(spec):
                return
            with self.reading() as store:
                droplet = _find(store, spec.droplet_id)
                if droplet is None or not droplet.on:
                    return
            if not self.backend.running(spec):
                self.backend.start(spec)
            if self._stop.wait(0.1):
                raise _ClosingError
        raise CoursehubError(f"machine {spec.name} did not answer on port 22 within {BOOT_SECONDS:.0f} s")

    def _watch(self) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            with self.reading() as store:
                specs = [self.spec(d) for d in store.account.droplets if d.on and not self._pending(store, d.id)]
            for spec in specs:
                self._revive(spec)

    def _revive(self, spec: MachineSpec) -> None:
        lock = self._machine_lock(spec.droplet_id)
        if not lock.acquire(blocking=False):
            return
        try:
            if self.backend.running(spec) or not self._wanted(spec):
                self._swept.discard(spec.droplet_id)
                return
            if spec.droplet_id not in self._swept:
                # Do this now, not at the next boot, which may be delayed: if only the container manager was killed, the
                # machine's processes would keep running although it counts as down.
                self._swept.add(spec.droplet_id)
                self.backend.stop(spec, graceful=False)
            if not self._may_retry(spec.droplet_id):
                return
            self._log(f"machine {spec.droplet_id} is down; booting it again")
            self._swept.discard(spec.droplet_id)
            self.backend.start(spec)
        except Exception as error:
            # Whatever the error, the watch must continue; otherwise no machine that dies would boot again.
            detail = error if isinstance(error, CoursehubError) else repr(error)
            self._log(f"machine {spec.droplet_id} does not boot: {detail}")
        finally:
            lock.release()

    def _wanted(self, spec: MachineSpec) -> bool:
        with self.reading() as store:
            droplet = _find(store, spec.droplet_id)
            return droplet is not None and droplet.on

    def _may_retry(self, droplet_id: int) -> bool:
        count, last = self._failures.get(droplet_id, (0, 0.0))
        since = time.monotonic() - last
        if since > 2 * MAX_PAUSE_SECONDS:
            count = 0
        if count and since < min(MAX_PAUSE_SECONDS, 0.5 * 2**count):
            return False
        self._failures[droplet_id] = (count + 1, time.monotonic())
        return True


def _find(store: Store, droplet_id: int) -> Droplet | None:
    return next((d for d in store.account.droplets if d.id == droplet_id), None)


def _finish(action: Action, status: str) -> None:
    action.status = "completed" if status == "completed" else "errored"
    action.completed_at = now()
