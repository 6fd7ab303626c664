"""A person who opens another person's server, like a teacher a student's."""

from __future__ import annotations

import re

import requests
import websocket

from runner.hub.client import HubClient
from tests.support.hub import Hub

#: The headers that a browser sends for a click on a link of the same site.
CLICK = {
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-User": "?1",
    "Sec-Fetch-Dest": "document",
}


def visits(hub: Hub) -> bool:
    """Whether teachers can open students' servers on this hub: only if each server has a domain of its own."""
    return '"subdomain_host": "https' in hub.run("cat /etc/jupyterhub/jupyterhub_config.py")


def open_server(visitor: HubClient, owner: str) -> requests.Response:
    """Open the server like a browser: the hub asks a visitor once whether the server may know who they are."""
    answer = visitor.get(f"/user/{owner}/lab")
    if "/hub/api/oauth2/authorize" in answer.url and answer.status_code == 200:
        fields = re.findall(r'name="(_xsrf|scopes)" value="([^"]*)"', answer.text)
        answer = visitor.http.post(answer.url, data=fields, headers={"Referer": answer.url}, timeout=20)
    return answer


def is_closed(connection: websocket.WebSocket) -> bool:
    """Whether the other side has closed a websocket. Pending data is read; it may be silent for one second."""
    connection.settimeout(1)
    try:
        for _ in range(1000):
            opcode, _data = connection.recv_data(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return True
    except websocket.WebSocketTimeoutException:
        return False
    except (websocket.WebSocketException, OSError):
        return True
    return False
