"""One run: check DNS, decide, ask the CA, serve the certificate, and report."""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
import time
from pathlib import Path

from coursehub_cert import authority, carrying, certificate, delegation, names, places, serving, tries
from coursehub_cert.config import DNS, Config
from coursehub_cert.deciding import RENEW_DAYS, reason_to_ask
from coursehub_cert.names import Dns


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of one run. `warnings` are for people; `changed`: another certificate is served than before."""

    changed: bool
    wanted: bool
    ok: bool
    covered: list[str]
    missing: dict[str, str]
    expires: str
    warnings: list[str]
    reason: str


def look(config: Config, own: frozenset[str]) -> Dns:
    """Return for which names a certificate can be ordered now."""
    found: Dns = (delegation if config.challenge == DNS else names).look(config.names, own)
    return found


def wait_for_dns(config: Config, own: frozenset[str], seconds: int) -> Dns:
    """Wait until a certificate can be ordered for one name, or the time is over; report this on standard error.

    A name that leads to another address gets more time, until that address has left all caches: an earlier server of
    the same name had it, and the CA may still have it in its cache.
    """
    began = time.monotonic()
    dns = look(config, own)
    while not dns.here:
        longest = max(seconds, config.ttl_wait) if seconds and names.OLD in dns.elsewhere[config.names[0]] else seconds
        left = int(began + longest - time.monotonic())
        if left <= 0:
            break
        print(f"waiting for DNS: {config.names[0]}: {dns.elsewhere[config.names[0]]} ({left} s left)", file=sys.stderr)
        time.sleep(min(3, max(0.1, left)))
        dns = look(config, own)
    return dns


def outcome(config: Config, dns: Dns, *, changed: bool, wanted: bool, reason: str, warnings: list[str]) -> Outcome:
    """Summarise what is on disk now and what is still missing."""
    found = certificate.read_certificate(config)
    covered = [name for name in config.names if found and name in found.names]
    missing = {
        name: dns.elsewhere.get(name, "not on the certificate yet") for name in config.names if name not in covered
    }
    more = [f"{name}: {why}; left out of the certificate" for name, why in missing.items() if name in dns.elsewhere]
    if not found:
        more.append("the server goes on with a self-signed certificate: browsers will warn")
    return Outcome(
        changed=changed,
        wanted=wanted,
        ok=not warnings and not missing and found is not None,
        covered=covered,
        missing=missing,
        expires=found.expires.isoformat() if found else "",
        warnings=warnings + more,
        reason=reason,
    )


def settled(config: Config) -> bool:
    """Return whether nothing is needed: this CA's certificate covers every name, and it does not expire soon."""
    try:
        noted = json.loads((places.STATE / "status.json").read_text())
        age = (config.lineage / "fullchain.pem").stat().st_mtime
        return (
            noted["ok"]
            and noted["config"] == places.CONFIG.read_text()
            and noted["fullchain_mtime"] == age
            and str(Path(config.live).readlink()) == str(config.lineage)
            and not serving.reload_due(config)
            and datetime.datetime.fromisoformat(noted["expires"]) - datetime.datetime.now(datetime.UTC)
            > datetime.timedelta(days=RENEW_DAYS)
        )
    except (OSError, ValueError, KeyError):
        return False


def save_status(config: Config, result: Outcome) -> None:
    """Write the status for `coursehub check` and for the next run."""
    fullchain = config.lineage / "fullchain.pem"
    mtime = fullchain.stat().st_mtime if fullchain.exists() else 0
    noted = {
        **dataclasses.asdict(result),
        "config": places.CONFIG.read_text(),
        "fullchain_mtime": mtime,
        "at": int(time.time()),
    }
    places.write_atomically(places.STATE / "status.json", json.dumps(noted, indent=1))


def run(config: Config, *, timer: bool, plan: bool) -> Outcome:
    """Order the certificate, if it is needed and the CA may be asked."""
    if settled(config):
        noted = json.loads((places.STATE / "status.json").read_text())
        return Outcome(
            **{field.name: noted[field.name] for field in dataclasses.fields(Outcome)}
            | {"changed": False, "wanted": False}
        )
    own = names.own_addresses(config)
    useless = "" if plan else carrying.take(config)
    found = certificate.read_certificate(config)
    # If a certificate already covers some names, a highstate does not wait for the others.
    wait = 0 if timer or plan or found else config.dns_wait
    dns = wait_for_dns(config, own, wait)
    now = datetime.datetime.now(datetime.UTC)
    reason, wanted = reason_to_ask(config, found, dns, now)
    warnings: list[str] = []
    if useless:
        # No warning: the order that follows is all that it costs.
        print(f"the last server's certificate is of no use here: {useless}", file=sys.stderr)
    if not dns.here and found and found.days_left(now) < RENEW_DAYS:
        why = dns.elsewhere[config.names[0]]
        warnings.append(f"it expires in {found.days_left(now):.0f} days and cannot be renewed: {why}")
    if plan:
        return outcome(config, dns, changed=False, wanted=bool(reason), reason=reason, warnings=warnings)
    issued = False
    if reason:
        force = found is not None and not reason.startswith("new in DNS")
        trouble = ask(config, wanted, own, timer=timer, force=force)
        issued = not trouble
        warnings += [trouble] if trouble else []
    changed, trouble_lines = serving.serve(config, issued)
    result = outcome(
        config, dns, changed=changed, wanted=bool(reason), reason=reason, warnings=warnings + trouble_lines
    )
    save_status(config, result)
    return result


def ask(config: Config, wanted: tuple[str, ...], own: frozenset[str], *, timer: bool, force: bool) -> str:
    """Ask the CA, unless that would fail or is too soon; return an empty string, or why there is no certificate."""
    earlier = tries.load()
    now = time.time()
    held = earlier.may_try(now, timer)
    if held:
        return f"the CA was not asked: {held}; last time: {earlier.message}"
    if config.challenge != DNS and (trouble := authority.answers_here(config, wanted[0], own)):
        return f"the CA was not asked: {trouble}"
    if trouble := authority.ask_ca(config, wanted, force=force):
        if config.challenge == DNS:
            trouble += f"; if it got no answer from us, {delegation.advice(config.names[0])}"
        earlier.failed(now, trouble)
        tries.save(earlier)
        return f"no certificate from {config.directory}: {trouble}; {earlier.next_try(now)}"
    tries.save(tries.Tries())
    return ""
