"""Requests to the local cloud's API that several test files send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.local_api import Api, served

ORDER = {"name": "hub", "size": "s-2vcpu-4gb", "image": "debian-13-x64", "region": "nyc3"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with served(tmp_path) as running:
        yield running


def public_key() -> str:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " teacher"


def create(api: Api, **changes: Any) -> Any:
    """A droplet that is active."""
    answer = api.ok("POST", "droplets", {**ORDER, **changes})
    api.wait_action(answer["links"]["actions"][0]["id"])
    return api.ok("GET", f"droplets/{answer['droplet']['id']}")["droplet"]


def status(api: Api, droplet: Any) -> str:
    return api.ok("GET", f"droplets/{droplet['id']}")["droplet"]["status"]


def assert_error(answer: httpx.Response, code: int, id: str, message: str) -> None:
    assert answer.status_code == code
    body = answer.json()
    assert body["id"] == id
    assert message in body["message"]
    assert body["request_id"]
