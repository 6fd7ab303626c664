"""How many wrong passwords somebody may try.

A guesser is stopped, and nobody else notices: wrong passwords are counted for an account together with where they come
from. A device from which somebody has signed in before has a count of its own, so nobody can lock its owner out. The
reasons are in docs/decisions/sign-in-limits.md.
"""

import asyncio
import contextlib
import hashlib
import heapq
import ipaddress
import itertools
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

Rank = tuple[float, ...]


@dataclass(frozen=True)
class Rule:
    """``burst`` tries at once, then one more in ``every`` seconds."""

    burst: int
    every: float


#: For one account from one network; typing errors of an honest person stay far below.
PAIR = Rule(10, 60)
#: For one account from a device that has signed in to it before.
DEVICE = Rule(10, 60)
#: For one account from all of the world together, but for networks from which somebody of the class has signed in.
ACCOUNT = Rule(100, 30)
#: Counts that are remembered; the oldest are forgotten first.
REMEMBERED = 20_000
#: Bits of an IPv6 address that count: whoever has one address of a home has all that begin with these.
IPV6_BITS = 56


class TooManyError(Exception):
    """No further password is looked at for ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no try left for {seconds:.0f} s")
        self.seconds = ceil(seconds)


class Counts:
    """Tries left for each key; a key that is not remembered has all."""

    def __init__(self, rule: Rule, clock: Callable[[], float], size: int = REMEMBERED) -> None:
        self._rule, self._clock, self._size = rule, clock, size
        # Tries left, and when that was so; the longest untouched first.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def left(self, key: str) -> float:
        """Return the tries that are left, a fraction of one included."""
        now = self._clock()
        left, then = self._left.get(key, (float(self._rule.burst), now))
        return min(float(self._rule.burst), left + (now - then) / self._rule.every)

    def wait(self, key: str) -> float:
        """Return the seconds until a try is left; 0 if there is one."""
        return max(0.0, (1 - self.left(key)) * self._rule.every)

    def add(self, key: str, tries: int) -> None:
        """Give back tries, or take them if the number is negative."""
        left = min(float(self._rule.burst), self.left(key) + tries)
        self._left[key] = (left, self._clock())
        self._left.move_to_end(key)
        while len(self._left) > self._size:
            self._left.popitem(last=False)

    def spent(self, key: str) -> float:
        """Return the tries that were wrong lately."""
        return self._rule.burst - self.left(key)


class Tries:
    """The counts of one hub. Not thread-safe: for its event loop alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, size: int = REMEMBERED) -> None:
        self._pair, self._device, self._account = (Counts(rule, clock, size) for rule in (PAIR, DEVICE, ACCOUNT))
        # Networks of right passwords, the longest unused first; only the order counts.
        self._trusted: OrderedDict[str, None] = OrderedDict()
        self._size = size
        # Tries by network that were taken and are not answered yet.
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def taken(self, account: str, address: str, device: str | None) -> Iterator["Try"]:
        """Take one try for the block, and give it back if ``right`` is set in it: only wrong ones count.

        ``device`` is known to the account, or None. Raises TooManyError when no try is left.
        """
        place = network(address)
        if device:
            used = [(self._device, _key(account, device))]
        elif place in self._trusted:
            used = [(self._pair, _key(account, place))]
        else:
            used = [(self._pair, _key(account, place)), (self._account, _key(account))]
        wait = max(counts.wait(key) for counts, key in used)
        if wait:
            raise TooManyError(wait)
        # Known devices first, then who has tried the fewest wrong ones, then whose network has the fewest in the queue.
        # What others tried for the same account elsewhere is no part of it.
        this = Try((0 if device else 1, used[0][0].spent(used[0][1]), self._open[place]))
        for counts, key in used:
            counts.add(key, -1)
        self._open[place] += 1
        try:
            yield this
        finally:
            self._open[place] -= 1
            if not self._open[place]:
                del self._open[place]
        if this.right:
            for counts, key in used:
                counts.add(key, 1)
            self._trust(place)

    def _trust(self, place: str) -> None:
        self._trusted[place] = None
        self._trusted.move_to_end(place)
        while len(self._trusted) > self._size:
            self._trusted.popitem(last=False)


@dataclass
class Try:
    """A try that was taken; the lower its rank, the sooner its turn."""

    rank: Rank
    right: bool = False


def network(address: str) -> str:
    """Return what is counted as one place on the net: an IPv4 address, or the first bits of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 6:
        return str(found.ipv4_mapped or ipaddress.ip_network((int(found), IPV6_BITS), strict=False))
    return str(found)


def _key(*parts: str) -> str:
    """Keep of what somebody typed, however long, only a digest: it may be a password in the wrong field."""
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=16).hexdigest()


class Turns:
    """Lets a few in at a time; of those who wait, the lowest rank is next, and the first of one rank."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._number = itertools.count()

    @contextlib.asynccontextmanager
    async def turn(self, rank: Rank) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block."""
        if self._free:
            self._free -= 1
        else:
            mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (rank, next(self._number), mine))
            try:
                await mine
            except asyncio.CancelledError:
                if mine.done() and not mine.cancelled():
                    self._next()
                raise
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        while self._waiting:
            _, _, other = heapq.heappop(self._waiting)
            if not other.done():
                other.set_result(None)
                return
        self._free += 1


class Devices:
    """Remembers in a browser, by a signed cookie, which accounts have signed in there.

    The cookie lets nobody in: it says whose wrong passwords are counted apart from others'. It goes to the sign-in page
    alone, and names accounts by digests, as many people may use one browser.
    """

    COOKIE = "coursehub-device"
    DAYS = 180
    #: Accounts of one browser that are remembered.
    MOST = 12

    def known(self, handler: Any, account: str) -> str | None:
        """Return the device's own name if ``account`` has signed in on it, else None."""
        device, accounts = self._read(handler)
        return device if device and self._digest(device, account) in accounts else None

    def remember(self, handler: Any, account: str, new_name: str) -> None:
        """Have the browser keep that ``account`` has signed in; ``new_name`` is for a browser that has none."""
        device, accounts = self._read(handler)
        device = device or new_name
        mine = self._digest(device, account)
        accounts = [mine, *(one for one in accounts if one != mine)][: self.MOST]
        handler.set_signed_cookie(
            self.COOKIE,
            " ".join([device, *accounts]),
            expires_days=self.DAYS,
            path=f"{handler.hub.base_url}login",
            httponly=True,
            secure=handler.request.protocol == "https",
            samesite="Lax",
        )

    def _read(self, handler: Any) -> tuple[str, list[str]]:
        value = handler.get_signed_cookie(self.COOKIE, max_age_days=self.DAYS) or b""
        device, *accounts = value.decode("ascii", "replace").split(" ")
        return device, accounts

    @staticmethod
    def _digest(device: str, account: str) -> str:
        return _key(device, account)[:16]
