"""The metadata service: a machine's facts about itself at http://169.254.169.254/metadata/v1/."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from runner.local.cloud import Cloud
from runner.local.store import Droplet

TEXTS = ("id", "hostname", "region", "user-data", "public-keys", "tags")


def make_app(cloud: Cloud) -> Starlette:
    """The application. It identifies a machine by its source address, as the provider does."""

    def droplet_of(request: Request) -> Droplet | None:
        client = request.client.host if request.client else ""
        with cloud.reading() as store:
            return next((d for d in store.account.droplets if cloud.backend.address(d.slot) == client), None)

    def index(request: Request) -> Response:
        return PlainTextResponse("\n".join((*TEXTS, "interfaces/"))) if droplet_of(request) else _nobody()

    def document(request: Request) -> Response:
        droplet = droplet_of(request)
        return JSONResponse(_document(cloud, droplet)) if droplet else _nobody()

    def text(request: Request) -> Response:
        droplet, name = droplet_of(request), request.path_params["name"]
        if droplet is None or name not in TEXTS:
            return _nobody()
        value = _document(cloud, droplet)[name.replace("-", "_") if name != "id" else "droplet_id"]
        return PlainTextResponse("\n".join(value) if isinstance(value, list) else str(value))

    def address(request: Request) -> Response:
        droplet = droplet_of(request)
        return PlainTextResponse(cloud.backend.address(droplet.slot)) if droplet else _nobody()

    return Starlette(
        routes=[
            Route("/metadata/v1/", index),
            Route("/metadata/v1.json", document),
            Route("/metadata/v1/interfaces/public/0/ipv4/address", address),
            Route("/metadata/v1/{name}", text),
        ]
    )


def _nobody() -> Response:
    return PlainTextResponse("not found", 404)


def _document(cloud: Cloud, droplet: Droplet) -> dict[str, Any]:
    return {
        "droplet_id": droplet.id,
        "hostname": droplet.name,
        "region": droplet.region,
        "user_data": droplet.user_data,
        "public_keys": droplet.public_keys,
        "tags": droplet.tags,
        "interfaces": {"public": [{"ipv4": {"ip_address": cloud.backend.address(droplet.slot)}, "type": "public"}]},
    }
