"""Somebody guesses passwords, or makes others' sign-in slow."""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from runner.hub.client import PAGE_SECONDS, HubClient
from tests.support.attackers import Outside, Person, anonymous
from tests.support.hub import Hub

DEVICE = "coursehub-device"
#: More wrong passwords than anybody may try at once.
GUESSES = 12
#: A class that signs in within the same minute.
CLASS = 30
#: Seconds that each may wait on a busy host; two passwords are checked at the same time.
PATIENCE = 120
#: Seconds within which a right password is answered, also on a busy host.
AT_ONCE = 20


def post(
    client: HubClient, account: str, password: str, seconds: float = PAGE_SECONDS, **headers: str
) -> requests.Response:
    """Send the sign-in form like a browser and return the answer."""
    if not client._xsrf("/hub/"):
        client.get("/hub/login")
    return client._request(
        "POST",
        "/hub/login",
        data={"username": account, "password": password, "_xsrf": client._xsrf("/hub/")},
        headers=headers,
        allow_redirects=False,
        timeout=seconds,
    )


@pytest.fixture
def target(hub: Hub) -> Iterator[Person]:
    """A student only for this test: guesses at one of the other students would lock them out of other tests."""
    account, password = f"target-{secrets.token_hex(3)}", secrets.token_hex(12)
    hub.run(f"useradd --create-home --user-group --groups students {account} && echo '{account}:{password}' | chpasswd")
    yield Person(hub, account, password)
    hub.run(f"userdel --remove {account} 2>/dev/null || true")


def test_front_signin_is_guessed(target: Person, outside: Outside) -> None:
    """Tries: to guess a student's password, one after the other.

    Stopped by: wrong passwords are counted by account and network (class_signin/tries.py).
    """
    with outside.browser() as guesser:
        codes = [post(guesser, target.account, f"wrong-{number}").status_code for number in range(GUESSES)]
        assert codes == [403] * 10 + [429] * 2
        # From then on, even the right password gives a guesser no information.
        answer = post(guesser, target.account, target.password)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert "Too many wrong passwords for this account" in answer.text


def test_front_signin_of_a_victim_is_locked(target: Person, outside: Outside) -> None:
    """Tries: to lock a student out with wrong passwords from the same address.

    Stopped by: a browser that has signed in before has its own count (class_signin/tries.py).
    """
    with outside.browser() as owner, outside.browser() as guesser:
        assert post(owner, target.account, target.password).status_code == 302
        device = next(cookie for cookie in owner.http.cookies if cookie.name == DEVICE)
        assert device.secure and device.path == "/hub/login"
        owner.http.cookies.clear()
        owner.http.cookies.set_cookie(device)
        for number in range(GUESSES):
            post(guesser, target.account, f"wrong-{number}")
        began = time.monotonic()
        assert post(owner, target.account, target.password).status_code == 302
        assert time.monotonic() - began < AT_ONCE


def test_front_signin_by_a_stolen_or_made_device(target: Person, mallory: Person, outside: Outside) -> None:
    """Tries: to continue guessing with the device cookie of one's own browser, or with an invented one.

    Stopped by: the cookie is signed and counts only for accounts that signed in with it.
    """
    own = mallory.new_client()
    try:
        for number in range(GUESSES):
            post(own, target.account, f"wrong-{number}")
        assert post(own, target.account, "again").status_code == 429
    finally:
        own.http.close()
    with outside.browser() as forger:
        forger.http.cookies.set(DEVICE, "2|1:0|10:1|16:coursehub-device|4:eHh4|00", path="/hub/login", secure=True)
        assert post(forger, target.account, "again").status_code == 429


def test_front_signin_under_forged_addresses(target: Person, outside: Outside, hub: Hub) -> None:
    """Tries: to be counted as somebody else at each guess, and to have another address in the log.

    Stopped by: nginx sets the address that the hub sees, whatever a client claims.
    """
    forged = "198.51.100.77"
    with outside.browser() as guesser:
        for number in range(GUESSES):
            answer = post(
                guesser,
                target.account,
                f"wrong-{number}",
                **{
                    "X-Forwarded-For": f"{forged}, 198.51.100.{number}",
                    "X-Real-IP": f"198.51.100.{number}",
                    "Forwarded": f"for={forged}",
                    "X-Client-IP": forged,
                },
            )
    assert answer.status_code == 429
    assert hub.run(f"journalctl -u jupyterhub --since -5min | grep -F {forged} || true") == ""


def test_front_signin_says_who_exists(target: Person, outside: Outside) -> None:
    """Tries: to find out which accounts exist by text, status or time.

    Stopped by: every wrong answer is the same and comes after a second; made-up names are counted too.
    """
    said = []
    for account in (target.account, f"nobody-{secrets.token_hex(3)}", "root"):
        with outside.browser() as guesser:
            began = time.monotonic()
            answer = post(guesser, account, "wrong")
            took = time.monotonic() - began
            more = [post(guesser, account, f"wrong-{number}").status_code for number in range(GUESSES - 1)]
        assert took >= 1, account
        said.append((answer.status_code, answer.text.count("Invalid username or password"), more))
    assert said[0] == said[1] == said[2]


@pytest.fixture
def address(target: Person, hub: Hub) -> Iterator[str]:
    """An email address of the target's, which the class list has while the test runs."""
    listed, address = "/srv/jupyterhub/identities.json", f"{target.account}@example.edu"
    hub.run(f"cp -p {listed} {listed}.attack")
    # In place, as the file's owner and mode are the hub's.
    hub.run(
        "python3 -c 'import json, sys; known = json.load(open(sys.argv[1])); known[sys.argv[2]] = sys.argv[3]; "
        f'json.dump(known, open(sys.argv[1], "w"))\' {listed} {address} {target.account}'
    )
    yield address
    hub.run(f"mv {listed}.attack {listed}")


def test_front_signin_says_whose_an_address_is(target: Person, address: str, outside: Outside) -> None:
    """Tries: to find out whose an email address is, by whether wrong passwords for it count for an account.

    Stopped by: what is typed is counted, so an address and its account share nothing before the right password.
    """
    said = []
    for typed in (address, f"nobody-{secrets.token_hex(3)}@example.edu"):
        with outside.browser() as guesser:
            codes = [post(guesser, typed, f"wrong-{number}").status_code for number in range(11)]
            said.append((codes, post(guesser, target.account, "wrong").status_code))
    assert said[0] == said[1] == ([403] * 10 + [429], 403)
    with outside.browser() as owner:
        assert post(owner, target.account, target.password).status_code == 302


def test_front_signin_by_the_api(target: Person, outside: Outside) -> None:
    """Tries: to guess where the hub's API exchanges a name and a password for a token.

    Stopped by: it uses the same authenticator with the same counts.
    """
    with outside.browser() as guesser:
        for number in range(GUESSES):
            post(guesser, target.account, f"wrong-{number}")
        answer = guesser.http.post(
            f"{guesser.base}/hub/api/users/{target.account}/tokens",
            json={"auth": {"username": target.account, "password": target.password}},
            timeout=20,
        )
    assert answer.status_code in (403, 429)
    assert "token" not in answer.json()


def test_front_signin_with_a_huge_password(outside: Outside) -> None:
    """Tries: to keep the hub busy with the hash of a very long password, and with a body of 89 MB.

    Stopped by: nginx accepts 64 kB for the form, the authenticator 512 letters.
    """
    with outside.browser() as guesser:
        name = f"nobody-{secrets.token_hex(3)}"
        assert post(guesser, name, "x" * 60_000).status_code == 403
        assert post(guesser, name, "x" * 100_000).status_code == 413
    announced = (
        f"POST /hub/login HTTP/1.1\r\nHost: {outside.name}\r\nContent-Length: 89000000\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    assert outside.send(announced.encode()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.disturbs
def test_front_signin_is_made_slow(target: Person, outside: Outside) -> None:
    """Tries: to make everybody wait: 150 wrong passwords at once, for 30 accounts.

    Stopped by: wrong passwords hold no thread, and people with fewer tries come first (class_signin/tries.py).
    """
    flood = [f"nobody-{secrets.token_hex(3)}" for _ in range(29)] + [target.account]

    def guess(account: str) -> None:
        with outside.browser() as guesser, contextlib.suppress(Exception):
            for number in range(5):
                post(guesser, account, f"wrong-{number}")

    with outside.browser() as owner:
        assert post(owner, target.account, target.password).status_code == 302
        for cookie in list(owner.http.cookies):
            if cookie.name not in (DEVICE, "_xsrf"):
                owner.http.cookies.clear(cookie.domain, cookie.path, cookie.name)
        with ThreadPoolExecutor(max_workers=30) as pool:
            flooding = [pool.submit(guess, account) for account in flood]
            time.sleep(1)
            began = time.monotonic()
            owner.get("/hub/login")
            answer = post(owner, target.account, target.password)
            took = time.monotonic() - began
            for one in flooding:
                one.result()
    assert answer.status_code == 302
    assert took < AT_ONCE, f"{took:.1f} s"


@pytest.fixture
def classmates(hub: Hub) -> Iterator[list[Person]]:
    """A class only for this test, as large as one in a lab."""
    mark = secrets.token_hex(3)
    people = [Person(hub, f"mate-{mark}-{number}", secrets.token_hex(12)) for number in range(CLASS)]
    names = " ".join(one.account for one in people)
    lines = "".join(f"{one.account}:{one.password}\n" for one in people)
    hub.run(
        f"for one in {names}; do useradd --create-home --user-group --groups students $one; done\n"
        f"chpasswd <<'END'\n{lines}END\n"
    )
    yield people
    for one in people:
        one.forget()
    hub.run(f"for one in {names}; do userdel --remove $one 2>/dev/null || true; done")


def come_in(person: Person, together: threading.Barrier) -> tuple[set[int], float]:
    """Open the sign-in page with all its files and sign in, like a browser; return the statuses and the seconds."""
    client = anonymous(person.hub)
    together.wait(60)
    began = time.monotonic()
    page = client.get("/hub/login", timeout=PATIENCE)
    parts = re.findall(r'(?:src|href)="(/hub/(?:static|logo)[^"]*)"', page.text)
    statuses = {page.status_code, *(client.get(part, timeout=PATIENCE).status_code for part in parts)}
    answer = post(client, person.account, person.password, PATIENCE)
    home = client.get("/hub/home", timeout=PATIENCE)
    client.http.close()
    assert parts, page.text
    return statuses | {answer.status_code, home.status_code}, time.monotonic() - began


@pytest.mark.disturbs
def test_front_signin_of_a_class_beside_a_guesser(classmates: list[Person], target: Person, outside: Outside) -> None:
    """Tries: to guess from the room in which a whole class signs in, so that its limits lock the class out.

    Stopped by: right passwords cost nothing, and wrong ones count only for their account.
    """
    done, guesses = threading.Event(), []

    def guess() -> None:
        with outside.browser() as guesser:
            while not done.is_set():
                guesses.append(post(guesser, target.account, f"wrong-{len(guesses)}", PATIENCE).status_code)

    together = threading.Barrier(CLASS)
    with ThreadPoolExecutor(max_workers=CLASS + 1) as pool:
        guessing = pool.submit(guess)
        coming = [pool.submit(come_in, one, together) for one in classmates]
        came = [one.result() for one in coming]
        deadline = time.monotonic() + 120
        while 429 not in guesses and time.monotonic() < deadline:
            time.sleep(0.2)
        done.set()
        guessing.result()
    print(f"{CLASS} signed in, the slowest within {max(seconds for _, seconds in came):.1f} s")
    assert [statuses for statuses, _ in came] == [{200, 302}] * CLASS
    assert set(guesses) == {403, 429}, guesses
    # One more is allowed per minute, and a busy host takes longer than that.
    assert 10 <= guesses.count(403) <= 13
