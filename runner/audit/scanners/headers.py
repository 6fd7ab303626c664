"""Mozilla's Observatory: what the headers of the hub's pages allow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from http.cookiejar import Cookie
from pathlib import Path
from typing import Any

from runner.audit.goals import Finding, Measure
from runner.audit.subject import ScanFailed, Subject, program
from runner.hub.client import HubClient, HubFailure

SCRIPT = Path(__file__).with_name("observatory.mjs")
PACKAGE = Path("node_modules/@mdn/mdn-http-observatory")
#: Three pages; only a signed-in user can see the last one.
PUBLIC, SIGNED_IN = ("/", "/hub/login"), "/hub/home"
SECONDS = 120


def measure(subject: Subject) -> list[Measure]:
    """Scan three pages. Raises ScanFailed if one does not answer, or if password sign-in to the third fails."""
    package = subject.tools.directory / PACKAGE
    # The real preload list has 20 MB and contains none of our hubs.
    preloaded = package / "conf/hsts-preload.json"
    if not preloaded.exists():
        preloaded.write_text("{}\n", encoding="utf-8")
    found = [parse(path, _ask(subject, package, path, "")) for path in PUBLIC]
    try:
        with HubClient(subject.hostname, subject.target.username, subject.target.ca_bundle) as client:
            client.sign_in(subject.target.password)
            # In the order in which a browser sends them to that page: the most specific path first.
            cookies = sorted(_jar(client), key=lambda one: -len(one.path))
            fitting = [f"{one.name}={one.value}" for one in cookies if SIGNED_IN.startswith(one.path)]
            found.append(parse(SIGNED_IN, _ask(subject, package, SIGNED_IN, "; ".join(fitting)), signed_in=True))
            client.get("/hub/logout")
    except HubFailure as failure:
        raise ScanFailed(f"observatory: {SIGNED_IN} needs a sign-in: {failure}") from failure
    return found


def _jar(client: HubClient) -> list[Cookie]:
    jar: Iterable[Any] = client.http.cookies
    return list(jar)


def _ask(subject: Subject, package: Path, path: str, cookie: str) -> dict[str, Any]:
    order = {"module": str(package), "hostname": subject.hostname, "path": path, "cookie": cookie}
    env = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    if subject.target.ca_bundle:
        env["NODE_EXTRA_CA_CERTS"] = str(subject.target.ca_bundle)
    code, said, errors = program(
        [str(subject.tools.node), str(SCRIPT)], seconds=SECONDS, text=json.dumps(order), env=env
    )
    if code:
        last = [line for line in errors.splitlines() if "Error" in line] or errors.splitlines() or ["no reason given"]
        raise ScanFailed(f"observatory: {path}: {last[0].strip()[:200]}")
    return dict(json.loads(said))


def parse(path: str, document: dict[str, Any], *, signed_in: bool = False) -> Measure:
    """A page's score, and each test that lowered it. Raises ScanFailed if another page was scanned."""
    if signed_in and not str(document["where"]).startswith(path):
        raise ScanFailed(f"observatory: the hub sent {path} on to {document['where']}: the session did not count")
    findings = tuple(
        Finding(one["name"], f"{one['result']} ({one['modifier']:+})")
        for one in document["tests"]
        if not one["pass"] or one["modifier"] < 0
    )
    return Measure("observatory", path, findings, int(document["score"]))
