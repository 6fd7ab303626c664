"""Injected faults: `faults.json` beside the account makes the API fail, for tests of its clients.

The file contains a list and is read at each request; the first matching entry that has ``times`` left is used:

    [{"method": "POST", "path_regex": "^/v2/droplets$", "times": 3, "status": 500,
      "body": "<html>", "headers": {"Retry-After": "1"}, "delay_s": 0, "reset": false, "after": false}]

All keys except ``path_regex`` are optional. ``times`` counts since the file was last written; without it the entry
always applies. ``delay_s`` waits first (seconds). ``reset`` cuts the connection. ``after`` lets the request take effect
and then replaces the answer, like a create whose answer is lost. Without ``status`` and ``reset`` there is only the
delay.
"""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter


class Fault(BaseModel, frozen=True):
    """One entry of the file."""

    path_regex: str
    method: str | None = None
    times: int | None = None
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    delay_s: float = 0.0
    reset: bool = False
    after: bool = False


_FAULTS = TypeAdapter(list[Fault])


class Faults:
    """Reads the file and counts how often each entry was used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: int | None = None
        self._faults: list[Fault] = []
        self._used: dict[int, int] = {}

    def match(self, method: str, path: str) -> Fault | None:
        """The fault for a request, which is then counted; None if the request must succeed."""
        with self._lock:
            self._read()
            for number, fault in enumerate(self._faults):
                if fault.method not in (None, method) or not re.search(fault.path_regex, path):
                    continue
                if fault.times is not None and self._used.get(number, 0) >= fault.times:
                    continue
                self._used[number] = self._used.get(number, 0) + 1
                return fault
        return None

    def _read(self) -> None:
        try:
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._stamp:
                self._faults = _FAULTS.validate_python(json.loads(self._path.read_text()))
                self._used, self._stamp = {}, stamp
        except FileNotFoundError:
            self._faults, self._used, self._stamp = [], {}, None
