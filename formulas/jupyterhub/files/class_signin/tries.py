"""Limits on wrong passwords.

A guesser is stopped, and nobody else notices: wrong passwords are counted by account together with the network that
they come from. A browser in which a person has signed in before has its own count, so nobody can lock its owner out.
The reasons are in docs/decisions/sign-in-limits.md.
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
    """``burst`` tries at once, then one more every ``every`` seconds."""

    burst: int
    every: float


#: For one account from one network; the typing errors of an honest person stay far below.
PAIR = Rule(10, 60)
#: For one account from a browser (device) that has signed in to it before.
DEVICE = Rule(10, 60)
#: For one account from all networks together, except networks from which a person of the class has signed in.
ACCOUNT = Rule(100, 30)
#: Number of counts that are remembered; the oldest are forgotten first.
REMEMBERED = 20_000
#: Bits of an IPv6 address that are compared: a home with one address has all addresses that begin with these.
IPV6_BITS = 56


class TooManyError(Exception):
    """No further password is checked for ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no try left for {seconds:.0f} s")
        self.seconds = ceil(seconds)


class Counts:
    """Tries left for each key; an unknown key has all."""

    def __init__(self, rule: Rule, clock: Callable[[], float], size: int = REMEMBERED) -> None:
        self._rule, self._clock, self._size = rule, clock, size
        # Tries left, and the time of that value; the least recently used first.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def left(self, key: str) -> float:
        """Return the tries that are left, as a fraction."""
        now = self._clock()
        left, then = self._left.get(key, (float(self._rule.burst), now))
        return min(float(self._rule.burst), left + (now - then) / self._rule.every)

    def wait(self, key: str) -> float:
        """Return the seconds until there is a try; 0 if there is one."""
        return max(0.0, (1 - self.left(key)) * self._rule.every)

    def add(self, key: str, tries: int) -> None:
        """Give back tries, or take them if the number is negative."""
        left = min(float(self._rule.burst), self.left(key) + tries)
        self._left[key] = (left, self._clock())
        self._left.move_to_end(key)
        while len(self._left) > self._size:
            self._left.popitem(last=False)

    def spent(self, key: str) -> float:
        """Return the number of recent wrong tries."""
        return self._rule.burst - self.left(key)


class Tries:
    """The counts of one hub. Not thread-safe: only for its event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, size: int = REMEMBERED) -> None:
        self._pair, self._device, self._account = (Counts(rule, clock, size) for rule in (PAIR, DEVICE, ACCOUNT))
        # Networks of right passwords, the least recently used first; the values are not used.
        self._trusted: OrderedDict[str, None] = OrderedDict()
        self._size = size
        # Number of unanswered tries by network.
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def taken(self, account: str, address: str, device: str | None) -> Iterator["Try"]:
        """Take one try for the block, and give it back if ``right`` is set in it: only wrong tries count.

        ``device`` is a browser known to the account, or None. Raises TooManyError if no try is left.
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
        # Known browsers first, then those with the fewest wrong tries, then those whose network has the fewest in the
        # queue. Tries for the same account from other networks do not matter here.
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
    """A try in progress; a lower rank gets its turn sooner."""

    rank: Rank
    right: bool = False


def network(address: str) -> str:
    """Return what counts as one network: an IPv4 address, or the first bits of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 6:
        return str(found.ipv4_mapped or ipaddress.ip_network((int(found), IPV6_BITS), strict=False))
    return str(found)


def _key(*parts: str) -> str:
    """Return a digest of what was typed: it may be long, or a password in the wrong field."""
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=16).hexdigest()


class Turns:
    """Lets a few in at the same time. Of those who wait, the lowest rank is next; within a rank, the first."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._number = itertools.count()

    @contextlib.asynccontextmanager
    async def turn(self, rank: Rank) -> AsyncIterator[None]:
        """Wait for a turn, and keep it until the end of the block."""
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
    """Remembers in a browser, with a signed cookie, which accounts have signed in there.

    The cookie lets nobody in: it only says that this browser's wrong passwords are counted separately. It is sent only
    to the sign-in page, and has digests instead of account names, because many people may use one browser.
    """

    COOKIE = "coursehub-device"
    DAYS = 180
    #: Accounts of one browser that are remembered.
    MOST = 12

    def known(self, handler: Any, account: str) -> str | None:
        """Return the browser's name if ``account`` has signed in there, otherwise None."""
        device, accounts = self._read(handler)
        return device if device and self._digest(device, account) in accounts else None

    def remember(self, handler: Any, account: str, new_name: str) -> None:
        """Store in the browser that ``account`` has signed in; ``new_name`` is for a browser without a name."""
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
