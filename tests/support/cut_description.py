"""Reduces the provider's API description to the operations that the local cloud has.

``python -m tests.support.cut_description OPENAPI.yaml`` rewrites digitalocean-openapi.yaml beside this file. Prose,
examples and links are removed; every schema that an operation needs is kept unchanged.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

CUT = Path(__file__).parent / "digitalocean-openapi.yaml"
HEAD = """\
# The DigitalOcean API v2 as its provider describes it, cut down to the operations that the local cloud has and
# without prose and examples. Copyright DigitalOcean, LLC; Apache License 2.0
# (https://www.apache.org/licenses/LICENSE-2.0); from https://github.com/digitalocean/openapi. Changed: cut only, by
# tests/support/cut_description.py.
"""
OPERATIONS = {
    "/v2/account": "get",
    "/v2/account/keys": "get post",
    "/v2/account/keys/{ssh_key_identifier}": "get put delete",
    "/v2/actions": "get",
    "/v2/actions/{action_id}": "get",
    "/v2/domains": "get post",
    "/v2/domains/{domain_name}": "get delete",
    "/v2/domains/{domain_name}/records": "get post",
    "/v2/domains/{domain_name}/records/{domain_record_id}": "get patch put delete",
    "/v2/droplets": "get post delete",
    "/v2/droplets/{droplet_id}": "get delete",
    "/v2/droplets/{droplet_id}/actions": "get post",
    "/v2/droplets/{droplet_id}/actions/{action_id}": "get",
    "/v2/firewalls": "get post",
    "/v2/firewalls/{firewall_id}": "get put delete",
    "/v2/images": "get",
    "/v2/images/{image_id}": "get",
    "/v2/projects": "get post",
    "/v2/projects/{project_id}": "get delete",
    "/v2/projects/{project_id}/resources": "get post",
    "/v2/regions": "get",
    "/v2/reserved_ips": "get",
    "/v2/sizes": "get",
    "/v2/snapshots": "get",
    "/v2/tags": "get post",
    "/v2/tags/{tag_id}": "get delete",
    "/v2/tags/{tag_id}/resources": "post delete",
    "/v2/volumes": "get",
}
#: Keys without constraints. A property with such a name is kept.
PROSE = {"description", "example", "examples", "summary", "operationId", "title", "links", "security"}
#: The groups of components that an operation can use.
NEEDED = ("headers", "parameters", "responses", "schemas")


def cut(whole: Any) -> Any:
    """The description of only OPERATIONS."""
    paths = {}
    for path, methods in OPERATIONS.items():
        operations = {method: _bare(whole["paths"][path][method]) for method in methods.split()}
        for operation in operations.values():
            operation.pop("tags", None)
        shared = whole["paths"][path].get("parameters")
        paths[path] = {**({"parameters": _bare(shared)} if shared else {}), **operations}
    components: dict[str, dict[str, Any]] = {group: {} for group in NEEDED}
    wanted = sorted(_references(paths))
    while wanted:
        group, name = wanted.pop().split("/")[2:4]
        if name not in components[group]:
            components[group][name] = _bare(whole["components"][group][name])
            wanted += sorted(_references(components[group][name]))
    for answer in components["responses"].values():
        # OpenAPI requires one in each response.
        answer["description"] = ""
    return {
        "openapi": whole["openapi"],
        "info": {"title": "DigitalOcean API", "version": "2.0", "license": whole["info"]["license"]},
        "servers": [{"url": "http://127.0.0.1"}],
        "paths": paths,
        "components": {group: dict(sorted(found.items())) for group, found in components.items()},
    }


def _bare(node: Any, *, names: bool = False) -> Any:
    """``node`` without prose; with ``names``, its keys are names of properties, which are all kept."""
    if isinstance(node, list):
        return [_bare(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _bare(value, names=key in ("properties", "headers") and not names)
        for key, value in node.items()
        if names or (key not in PROSE and not key.startswith("x-"))
    }


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_references, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return found.union(*(_references(value) for value in node.values()))


if __name__ == "__main__":
    document = yaml.load(Path(sys.argv[1]).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    CUT.write_text(HEAD + yaml.safe_dump(cut(document), sort_keys=False, width=120), encoding="utf-8")
