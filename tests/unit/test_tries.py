"""How many wrong passwords may be tried, with the test's own clock."""

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
FILE = Path(__file__).parents[2] / "formulas/jupyterhub/files/class_signin/tries.py"


def _module():
    spec = importlib.util.spec_from_file_location("class_signin_tries", FILE)
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


tries = _module()
HOME, CAMPUS = "192.0.2.7", "198.51.100.1"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def counted(clock):
    return tries.Tries(clock)


def wrong(counted, account, address, times, device=None):
    """How many of these wrong passwords are checked."""
    looked = 0
    for _ in range(times):
        try:
            with counted.taken(account, address, device):
                looked += 1
        except tries.TooManyError:
            pass
    return looked


def right(counted, account, address, device=None):
    with counted.taken(account, address, device) as this:
        this.right = True
    return this.rank


def test_tries_of_a_guesser_are_counted_and_come_back(counted, clock):
    assert wrong(counted, "ada", HOME, 100) == tries.PAIR.burst
    with pytest.raises(tries.TooManyError) as refused, counted.taken("ada", HOME, None):
        pass
    assert 0 < refused.value.seconds <= tries.PAIR.every
    clock.now += 10 * tries.PAIR.every / 2
    assert wrong(counted, "ada", HOME, 100) == 5


def test_tries_of_others_cost_nobody_else_one(counted):
    wrong(counted, "ada", HOME, 100)
    assert right(counted, "bob", HOME) == (1, 0, 0)
    assert right(counted, "ada", CAMPUS) == (1, 0, 0)


def test_tries_that_were_right_do_not_count(counted):
    for _ in range(10 * tries.PAIR.burst):
        right(counted, "ada", HOME)
    assert wrong(counted, "ada", HOME, 100) == tries.PAIR.burst


def test_tries_on_a_known_device_are_its_own(counted):
    """Guesses from the same room do not lock out the owner's browser."""
    wrong(counted, "ada", CAMPUS, 100)
    assert right(counted, "ada", CAMPUS, device="laptop") == (0, 0, 0)
    assert wrong(counted, "ada", HOME, 100, device="laptop") == tries.DEVICE.burst


def test_tries_of_a_botnet_end_for_the_account(counted):
    looked = sum(wrong(counted, "ada", f"203.0.113.{host}", 10) for host in range(100))
    assert looked == tries.ACCOUNT.burst
    assert wrong(counted, "bob", "203.0.113.1", 1) == 1


def test_tries_of_a_botnet_leave_the_campus_open(counted):
    """From a network where somebody of the class has signed in, a new browser of the victim still gets in."""
    right(counted, "bob", CAMPUS)
    for host in range(100):
        wrong(counted, "ada", f"203.0.113.{host}", 10)
    assert right(counted, "ada", CAMPUS) == (1, 0, 0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:1200::1", "2001:db8:1:12ff:9::2", True),
        ("2001:db8:1:1200::1", "2001:db8:1:1300::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("nonsense", "nonsense", True),
    ],
)
def test_tries_are_counted_by_network(one, other, same):
    assert (tries.network(one) == tries.network(other)) is same


def test_tries_that_are_remembered_have_a_bound(clock):
    counts = tries.Counts(tries.PAIR, clock, size=100)
    for number in range(1000):
        counts.add(str(number), -1)
    assert len(counts._left) == 100
    assert counts.left("999") == tries.PAIR.burst - 1
    assert counts.left("0") == tries.PAIR.burst


def test_turns_go_by_rank_and_then_by_arrival():
    async def story():
        turns, came = tries.Turns(1), []

        async def one(name, rank):
            async with turns.turn(rank):
                await asyncio.sleep(0)
                came.append(name)

        waiting = [asyncio.create_task(one(name, rank)) for name, rank in WAITING]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        async with turns.turn((0,)):
            return came

    waiting_names = asyncio.run(asyncio.wait_for(story(), 5))
    assert waiting_names == ["first", "known", "clean", "also clean", "guesser"]


WAITING = [
    ("first", (1, 9, 0)),
    ("gone", (1, 9, 0)),
    ("guesser", (1, 9, 0)),
    ("clean", (1, 0, 0)),
    ("also clean", (1, 0, 0)),
    ("known", (0, 0, 0)),
]
