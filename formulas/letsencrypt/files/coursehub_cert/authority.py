"""Order a certificate from the CA with certbot, and explain its answer."""

from __future__ import annotations

import http.client
import ipaddress
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from coursehub_cert import doors, places
from coursehub_cert.certificate import AUTHENTICATORS, put_half_made_aside
from coursehub_cert.config import DNS, Config

#: Where the answerer of challenges listens for IPv6, because it needs some address.
LOOPBACK = "::1"
_NOISE = re.compile(
    r"^(Saving debug log|Account registered|Requesting a|Renewing an|An unexpected error|Hint:|Ask for help|See the"
    r" logfile|Certbot failed|Some challenges|Running pre-hook|Running post-hook|Waiting \d+ seconds)"
)


def answers_here(config: Config, name: str, own: frozenset[str]) -> str:
    """Return why the CA would get no answer on port 80, or an empty string. This check costs no failed validation."""
    token = secrets.token_hex(16)
    challenges = Path(config.webroot) / ".well-known" / "acme-challenge"
    challenges.mkdir(parents=True, exist_ok=True)
    probe = challenges / f"coursehub-{token}"
    probe.write_text(token)
    probe.chmod(0o644)
    address = sorted(own, key=lambda text: ipaddress.ip_address(text).version)[0]
    connection = http.client.HTTPConnection(address, 80, timeout=10)
    try:
        connection.request("GET", f"/.well-known/acme-challenge/{probe.name}", headers={"Host": name})
        answer = connection.getresponse()
        if answer.status != 200 or answer.read(64).decode(errors="replace") != token:
            return f"port 80 of this server does not serve {config.webroot} for {name} (status {answer.status})"
    except (OSError, http.client.HTTPException) as error:
        return f"port 80 of this server does not answer: {error}"
    finally:
        connection.close()
        probe.unlink(missing_ok=True)
    return ""


def certbot_argv(config: Config, names: Iterable[str], force: bool) -> list[str]:
    """Return the certbot command that orders one certificate for these names."""
    account = ["--email", config.email, "--no-eff-email"] if config.email else ["--register-unsafely-without-email"]
    return [
        "certbot", "certonly", "--non-interactive", "--agree-tos", *account,
        "--server", config.directory, *_authenticator(config),
        "--cert-name", config.names[0], "--key-type", "ecdsa", "--renew-with-new-domains",
        "--max-log-backups", "20", *(["--force-renewal"] if force else []),
        *[part for name in names for part in ("--domain", name)],
    ]  # fmt: skip


def _authenticator(config: Config) -> list[str]:
    """Return how certbot proves that the names are ours. It saves the hooks and runs them at each renewal."""
    if config.challenge != DNS:
        return ["--authenticator", AUTHENTICATORS[config.challenge], "--webroot-path", config.webroot]
    return [
        "--authenticator", AUTHENTICATORS[DNS], "--preferred-challenges", "dns",
        # Only one address: systemd-resolved may use the port on others.
        "--dns-standalone-address", doors.listening_address(config), "--dns-standalone-ipv6-address", LOOPBACK,
        "--pre-hook", f"{places.COMMAND} open", "--post-hook", f"{places.COMMAND} close",
    ]  # fmt: skip


def ask_ca(config: Config, names: Iterable[str], force: bool) -> str:
    """Run certbot; return an empty string, or one line that says why there is no certificate."""
    moved = put_half_made_aside(config)
    trouble, output = call_certbot(config, names, force)
    if "accountDoesNotExist" in output:
        # A CA that lost its accounts, as a test CA does at each start. certbot would use the old account for ever.
        forget_account(config)
        trouble, _ = call_certbot(config, names, force)
    if trouble:
        # A web server may still use the earlier files.
        for place, aside in moved.items():
            if not place.exists():
                aside.rename(place)
    return trouble


def call_certbot(config: Config, names: Iterable[str], force: bool) -> tuple[str, str]:
    """Call certbot once; return why there is no certificate (empty if there is one), and certbot's output."""
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle}
    argv = certbot_argv(config, names, force)
    try:
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=300, env=environment)
    except subprocess.TimeoutExpired:
        return "the CA did not finish within 300 s", ""
    except OSError as error:
        return f"certbot does not start: {error}", ""
    output = done.stdout + done.stderr
    return "" if done.returncode == 0 else explain(output), output


def forget_account(config: Config) -> None:
    """Move certbot's account at this ACME server aside, so that the next call makes a new one."""
    accounts = places.LETSENCRYPT / "accounts" / config.directory.split("://", 1)[-1].rstrip("/")
    if accounts.is_dir():
        accounts.rename(accounts.with_name(f"{accounts.name}.gone-{int(time.time())}"))


def explain(output: str) -> str:
    """Return certbot's own message about what went wrong, on one line: its details if it gives them."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    useful = [line for line in lines if re.match(r"(Detail|Error)\b", line)] or [
        line for line in lines if not _NOISE.match(line)
    ]
    return " ".join(dict.fromkeys(useful[-2:]))[:400] or "certbot failed without a message"
