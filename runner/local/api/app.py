"""The ASGI application: each part's routes, behind the guard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runner.local.api import account, domains, droplets, firewalls, others, projects, tags
from runner.local.api.call import Call, Handler, not_found
from runner.local.api.guard import Cut, Guard, error_response
from runner.local.cloud import ApiError, Cloud
from runner.local.faults import Faults

ROUTES = (
    *account.ROUTES,
    *droplets.ROUTES,
    *domains.ROUTES,
    *tags.ROUTES,
    *firewalls.ROUTES,
    *projects.ROUTES,
    *others.ROUTES,
)


def make_app(cloud: Cloud, *, token: str, gateway: str, netmask: str, faults: Faults, cut: Cut) -> Guard:
    """The ASGI application of one cloud."""

    def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            call = Call(request, await request.body(), cloud, gateway, netmask)
            try:
                status, document = await run_in_threadpool(handler, call)
            except ApiError as error:
                return error_response(error)
            return Response(status_code=status) if document is None else JSONResponse(document, status)

        return answer

    def plain_error(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status in (404, 405):
            return error_response(not_found())
        return error_response(ApiError(status, "server_error", "Unexpected server-side error"))

    routes = [Route(path, endpoint(handler), methods=[method]) for method, path, handler in ROUTES]
    app = Starlette(routes=routes, exception_handlers={HTTPException: plain_error, Exception: plain_error})
    return Guard(app, token, faults, cut)
