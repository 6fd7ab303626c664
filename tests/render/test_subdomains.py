"""The effect of `isolation` in the formulas' pillar and files."""

from __future__ import annotations

import re
from typing import Any

import pytest

from runner.course.model import Course
from tests.render.courses import MADE_UP
from tests.render.rendering import Rendering

pytestmark = pytest.mark.render
EXAMPLE = MADE_UP["made-example"]
DOMAIN = EXAMPLE["domain"]
BELOW = rf"~^[a-z0-9-]+\.{re.escape(DOMAIN)}$"


@pytest.fixture(scope="module", params=["debian-12", "debian-13"])
def apart(request: pytest.FixtureRequest, renderings: dict[str, Rendering]) -> Rendering:
    """A course whose servers have names of their own."""
    assert EXAMPLE["isolation"] == "subdomains"
    return renderings[f"course-made-example-{request.param}"]


@pytest.fixture(scope="module")
def together(renderings: dict[str, Rendering]) -> Rendering:
    """A course whose servers are paths below one name."""
    return renderings["course-made-together-debian-13"]


def text(rendering: Rendering, path: str) -> str:
    (found,) = (file.text for file in rendering.files() if file.path == path)
    return found


def facts(rendering: Rendering, path: str) -> dict[str, Any]:
    """The values in a JSON file."""
    (found,) = (chunk["dataset"] for chunk in rendering.chunks if chunk["name"] == path and "dataset" in chunk)
    return dict(found)


def servers(rendering: Rendering) -> dict[str, list[str]]:
    """nginx's server blocks on port 443, by name."""
    blocks = re.split(r"\n    server \{\n", text(rendering, "/etc/nginx/nginx.conf"))[1:]
    named = ((re.search(r"server_name (.*);", block), block) for block in blocks if "listen 443" in block)
    return {found[1]: block.splitlines() for found, block in named if found}


def test_one_certificate_is_for_all_names_below(apart: Rendering) -> None:
    """It comes by DNS, and the firewall is open only for a limited time."""
    config = facts(apart, "/etc/coursehub/cert.json")
    assert config["names"] == [DOMAIN, f"*.{DOMAIN}"]
    assert config["challenge"] == "dns"
    assert re.search(r"udp \. 53 timeout \d+m", config["open_dns"][1])
    assert "delete element" in config["close_dns"][1]


def test_a_name_below_serves_servers_and_services_alone(apart: Rendering) -> None:
    blocks = servers(apart)
    below, hub = blocks[BELOW], blocks[DOMAIN]
    assert sum(f"return 302 https://{DOMAIN}$request_uri;" in line for line in below) == 2
    assert any("proxy_cookie_domain ~. $host;" in line for line in below)
    assert not any("proxy_cookie_domain" in line for line in hub)


def test_hub_proxy_and_service_know_of_the_names(apart: Rendering) -> None:
    assert apart.pillar["jupyterhub"]["subdomain_host"] == f"https://{DOMAIN}"
    assert "--host-routing" in text(apart, "/etc/systemd/system/jupyterhub-proxy.service")
    assert facts(apart, "/etc/jupyterhub/work.json")["subdomain_host"] == f"https://{DOMAIN}"


@pytest.mark.parametrize("course", sorted(MADE_UP))
def test_pillar_and_runner_agree_on_the_default(renderings: dict[str, Rendering], course: str) -> None:
    """Without a value in the course file: names below if we make the records, none if somebody else does."""
    facts = {**MADE_UP[course], "people": None}
    told = renderings[f"course-{course}-debian-13"].pillar["jupyterhub"]["subdomain_host"]
    assert bool(told) == Course.model_validate(facts).subdomains


def test_without_it_there_are_no_names_below(together: Rendering) -> None:
    domain = MADE_UP["made-together"]["domain"]
    assert facts(together, "/etc/coursehub/cert.json")["names"] == [domain, f"www.{domain}"]
    assert set(servers(together)) == {"_", domain, f"www.{domain}"}
    assert "--host-routing" not in text(together, "/etc/systemd/system/jupyterhub-proxy.service")
    assert together.pillar["jupyterhub"]["subdomain_host"] == ""


def test_no_host_name_is_logged(apart: Rendering) -> None:
    """Names of servers contain accounts."""
    config = text(apart, "/etc/nginx/nginx.conf")
    (format_,) = re.findall(r"log_format coursehub (.*?);", config, re.DOTALL)
    assert "host" not in format_ and "server_name" not in format_
    assert "error_log /var/log/nginx/error.log crit;" in "\n".join(servers(apart)[BELOW])
