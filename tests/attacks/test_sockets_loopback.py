"""Programs of a student that listen within the machine, and who can connect to them."""

from __future__ import annotations

import re

import pytest

from tests.support.attackers import Person
from tests.support.debugging import debugging, stopped_at_breakpoint
from tests.support.hub import Hub

#: Listens at ADDRESS in the background and records who connects; prints the port.
LISTEN = """
import builtins, socket, threading
def serve(listening):
    while True:
        try:
            caller, where = listening.accept()
        except OSError:
            return
        builtins.came.append(where)
        caller.sendall(b"secret")
        caller.close()
builtins.came = []
builtins.listening = socket.create_server(({address!r}, 0), family=socket.{family})
threading.Thread(target=serve, args=(builtins.listening,), daemon=True).start()
print(builtins.listening.getsockname()[1])
"""
CALL = """
import socket
try:
    with socket.create_connection(({address!r}, {port}), 2) as line:
        line.settimeout(2)
        print(line.recv(20))
except OSError as error:
    print(type(error).__name__)
"""
ATTACH = """
import json, socket
for port in {ports}:
    body = json.dumps({{"seq": 1, "type": "request", "command": "initialize", "arguments": {{"adapterID": "x"}}}})
    try:
        with socket.create_connection(("127.0.0.1", int(port)), 2) as line:
            line.settimeout(2)
            line.sendall(f"Content-Length: {{len(body)}}\\r\\n\\r\\n{{body}}".encode())
            print("ANSWERED" if line.recv(100) else "silent")
    except OSError as error:
        print(type(error).__name__)
"""
ADDRESSES = [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("0.0.0.0", "127.0.0.7"), ("0.0.0.0", "")]


@pytest.mark.parametrize(("bound", "called"), ADDRESSES)
def test_anothers_program_on_loopback(mallory: Person, alice: Person, hub: Hub, bound: str, called: str) -> None:
    """Tries: to reach a program that another student runs for themselves, such as a web server under test.

    Stopped by: the firewall passes an answer only within one account (formula firewall, loopback.nft).
    """
    called = called or hub.document["server"]["ip"]
    family = "AF_INET6" if ":" in bound else "AF_INET"
    port = int(alice.python(LISTEN.format(address=bound, family=family)))
    try:
        assert mallory.python(CALL.format(address=called, port=port)) == "TimeoutError"
        assert alice.python("import builtins; print(builtins.came)") == "[]"
        assert alice.python(CALL.format(address=called, port=port)) == "b'secret'"
    finally:
        alice.python("import builtins; builtins.listening.close()")


def test_anothers_program_is_led_to_ones_own(mallory: Person, alice: Person) -> None:
    """Tries: to listen where another student's program will connect, and to receive its data.

    Stopped by: the same rule, in the other direction.
    """
    port = int(mallory.python(LISTEN.format(address="127.0.0.1", family="AF_INET")))
    try:
        assert alice.python(CALL.format(address="127.0.0.1", port=port)) == "TimeoutError"
        assert mallory.python("import builtins; print(builtins.came)") == "[]"
    finally:
        mallory.python("import builtins; builtins.listening.close()")


def test_anothers_program_by_multipath_tcp(mallory: Person, alice: Person) -> None:
    """Tries: the same with multipath TCP, whose sockets have no owner for the firewall to see.

    Stopped by: connections without an owner get no answer.
    """
    port = int(alice.python(LISTEN.format(address="127.0.0.1", family="AF_INET")))
    code = f"""
import socket
try:
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    line.settimeout(2)
    line.connect(("127.0.0.1", {port}))
    print(line.recv(20))
except OSError as error:
    print(type(error).__name__)
"""
    try:
        assert mallory.python(code) in ("TimeoutError", "OSError", "ConnectionRefusedError")
        assert alice.python("import builtins; print(builtins.came)") == "[]"
    finally:
        alice.python("import builtins; builtins.listening.close()")


def test_anothers_program_by_datagrams(mallory: Person, alice: Person) -> None:
    """Tries: to get an answer from another student's program over UDP.

    Stopped by: the same rule.
    """
    port = int(
        alice.python(
            """
import builtins, socket, threading
builtins.box = box = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
box.bind(("127.0.0.1", 0))
def serve():
    while True:
        try:
            _, who = box.recvfrom(100)
        except OSError:
            return
        try:
            box.sendto(b"secret", who)
        except PermissionError:
            pass
threading.Thread(target=serve, daemon=True).start()
print(box.getsockname()[1])
"""
        )
    )
    code = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
    line.settimeout(2)
    line.sendto(b"x", ("127.0.0.1", {port}))
    print(line.recv(20))
"""
    try:
        assert mallory.python(code).startswith("TimeoutError")
        assert alice.python(code) == "b'secret'"
    finally:
        alice.python("import builtins; builtins.box.close()")


def test_anothers_debugger(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to attach to the debugger that another student has just used, and to run code as them.

    Stopped by: the firewall's rule within the machine; debugpy itself asks for no password.
    """
    client = alice.serve()
    with client.kernel() as kernel:
        with debugging(client, kernel) as session:
            assert stopped_at_breakpoint(session)["answer"] == "42"
            uid = hub.run(f"id -u {alice.account}").strip()
            listening = hub.run(f"ss -Htlne | grep -w uid:{uid}")
            ports = re.findall(r" 127\.0\.0\.1:(\d+) ", listening)
            assert ports, listening
            attach = ATTACH.format(ports=ports)
            assert mallory.python(attach).split() == ["TimeoutError"] * len(ports)
        # The attack itself works: for the owner it is answered.
        assert "ANSWERED" in kernel.run(attach)
