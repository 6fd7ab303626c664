"""A request as its handler sees it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request

from runner.local.cloud import ApiError, Cloud, unprocessable

Document = dict[str, Any]
Thing = TypeVar("Thing")

MAX_PAGE = 200


def not_found() -> ApiError:
    """The error for something that is not in the account."""
    return ApiError(404, "not_found", "The resource you were accessing could not be found.")


def first(found: Iterable[Thing]) -> Thing:
    """The first result. Raises ApiError (404) if there is none."""
    for thing in found:
        return thing
    raise not_found()


class Call:
    """A request as its handler sees it: the request and the cloud."""

    def __init__(self, request: Request, body: bytes, cloud: Cloud, gateway: str, netmask: str) -> None:
        self.cloud = cloud
        self.gateway = gateway
        self.netmask = netmask
        self.params: Mapping[str, str] = request.path_params
        self.query: Mapping[str, str] = request.query_params
        self.url = str(request.url.replace(query=""))
        self._body = body

    def json(self) -> Document:
        """The body, which must be a JSON object."""
        try:
            document = json.loads(self._body or b"{}")
        except ValueError as error:
            raise ApiError(400, "bad_request", "The request body is not valid JSON.") from error
        if not isinstance(document, dict):
            raise ApiError(400, "bad_request", "The request body must be a JSON object.")
        return document

    def text(self, document: Document, key: str) -> str:
        """A required text in the body."""
        value = document.get(key)
        if not isinstance(value, str) or not value.strip():
            raise unprocessable(f"{key.replace('_', ' ').capitalize()} can't be blank")
        return value

    def number(self, name: str) -> int:
        """A number in the path. Raises ApiError (404) for anything else."""
        value = self.params[name]
        if not value.isdigit():
            raise not_found()
        return int(value)

    def page(self, key: str, items: list[Any], show: Callable[[Any], Document]) -> Document:
        """One page of a list with links to the others."""
        per_page = self._positive("per_page", 20, MAX_PAGE)
        page = self._positive("page", 1, 10**6)
        if page > 1 and self.cloud.manners.page_fails(f"{key} {page}"):
            raise ApiError(500, "server_error", "Unexpected server-side error")
        last = max(1, math.ceil(len(items) / per_page))
        shown = items[(page - 1) * per_page : page * per_page]
        pages: Document = {}
        if page > 1:
            pages |= {"first": self._page_url(1, per_page), "prev": self._page_url(page - 1, per_page)}
        if page < last:
            pages |= {"next": self._page_url(page + 1, per_page), "last": self._page_url(last, per_page)}
        links: Document = {"pages": pages} if pages else {}
        return {key: [show(item) for item in shown], "links": links, "meta": {"total": len(items)}}

    def _positive(self, name: str, default: int, most: int) -> int:
        value = self.query.get(name, str(default))
        if not value.isdigit() or not int(value) >= 1:
            raise ApiError(400, "bad_request", f"{name} must be a positive number.")
        return min(int(value), most)

    def _page_url(self, page: int, per_page: int) -> str:
        query = {**self.query, "page": str(page), "per_page": str(per_page)}
        return f"{self.url}?{urlencode(query)}"


Handler = Callable[[Call], tuple[int, Document | None]]
# Method, path and handler.
Routes = tuple[tuple[str, str, Handler], ...]
