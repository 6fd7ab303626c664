"""Stores the backups of the local cloud's servers on this computer, over restic's REST protocol.

The backups stay when the servers or the local cloud are gone. Deleted files are kept for 30 days, so an attacker on a
server cannot destroy its backups.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import json
import os
import re
import secrets
import shutil
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from runner.local.backup_place import root_of

KINDS = ("data", "keys", "locks", "snapshots", "index")
_NAME = re.compile(r"^[0-9a-f]{64}$")
_COURSE = re.compile(r"^[a-z0-9][a-z0-9-]*$")
#: Days that deleted files are kept.
KEPT_DAYS = 30
_V2 = "application/vnd.x.restic.rest.v2"


def make_app(state: Path) -> Starlette:
    """The server's application."""
    root = root_of(state)
    methods = ["GET", "POST", "DELETE"]

    async def create(request: Request) -> Response:
        home = _home(root, request)
        if home is None:
            return _refused()
        for kind in KINDS:
            (home / kind).mkdir(mode=0o700, parents=True, exist_ok=True)
        return PlainTextResponse("")

    async def listing(request: Request) -> Response:
        home, kind = _home(root, request), request.path_params["kind"]
        if home is None or kind not in KINDS:
            return _refused() if home is None else _missing()
        files = [path for path in (home / kind).rglob("*") if _NAME.fullmatch(path.name)]
        return JSONResponse([{"name": path.name, "size": path.stat().st_size} for path in files], media_type=_V2)

    async def one(request: Request) -> Response:
        home = _home(root, request)
        if home is None:
            return _refused()
        kind, name = request.path_params.get("kind"), request.path_params.get("name")
        if kind is None:
            path = home / "config"
        elif kind in KINDS and _NAME.fullmatch(str(name)):
            path = home / kind / str(name)[:2] / str(name) if kind == "data" else home / kind / str(name)
        else:
            return _missing()
        if request.method == "POST":
            return await _receive(request, path, None if kind is None else str(name))
        if not path.is_file():
            return _missing()
        if request.method == "DELETE":
            await asyncio.to_thread(_delete, home, path, forget=kind == "locks")
            return PlainTextResponse("")
        return FileResponse(path, media_type="application/octet-stream")

    return Starlette(
        routes=[
            Route("/{course}/", create, methods=["POST"]),
            Route("/{course}/config", one, methods=methods),
            Route("/{course}/{kind}/", listing),
            Route("/{course}/{kind}/{name}", one, methods=methods),
        ]
    )


def _home(root: Path, request: Request) -> Path | None:
    """The course's directory, if the request brings its token."""
    course = request.path_params["course"]
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or not _COURSE.fullmatch(course):
        return None
    try:
        user, _, token = base64.b64decode(given).decode().partition(":")
        known = str(json.loads((root / f"{course}.json").read_text())["token"])
    except (OSError, ValueError, KeyError):
        return None
    return root / course if user == course and secrets.compare_digest(token.encode(), known.encode()) else None


async def _receive(request: Request, path: Path, name: str | None) -> Response:
    """Store a new file; its name is the hash of what is in it. Nothing is ever written over."""
    if path.exists():
        return PlainTextResponse("it is there already", 403)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    digest = hashlib.sha256()
    try:
        await asyncio.to_thread(path.parent.mkdir, mode=0o700, parents=True, exist_ok=True)
        with new.open("xb") as file:
            async for chunk in request.stream():
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        if name is not None and digest.hexdigest() != name:
            return PlainTextResponse("the content does not have this name", 400)
        new.rename(path)
    except OSError as error:
        return PlainTextResponse(error.strerror or "it cannot be written", 507)
    finally:
        new.unlink(missing_ok=True)
    return PlainTextResponse("")


def _delete(home: Path, path: Path, *, forget: bool) -> None:
    if forget:
        path.unlink(missing_ok=True)
        return
    today = datetime.datetime.now(datetime.UTC).date()
    deleted = home / "deleted"
    for day in deleted.iterdir() if deleted.is_dir() else ():
        if datetime.date.fromisoformat(day.name) < today - datetime.timedelta(days=KEPT_DAYS):
            shutil.rmtree(day)
    aside = deleted / today.isoformat() / path.parent.relative_to(home)
    aside.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.rename(aside / path.name)


def _refused() -> Response:
    return PlainTextResponse("unauthorized", 401, headers={"WWW-Authenticate": 'Basic realm="backups"'})


def _missing() -> Response:
    return PlainTextResponse("not found", 404)
