"""JupyterHub of one class. Made by Salt. It lists no people, so adding or removing a person restarts nothing."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

SETTINGS = json.loads(r"""{{ settings | json }}""")
sys.path.insert(0, f"{SETTINGS['root']}/lib")

from class_inside.activity import REPORTS  # noqa: E402
from class_inside.idle_times import IdleTimes  # noqa: E402
from class_inside.page import page_from  # noqa: E402
from class_inside.places import Places, url_of  # noqa: E402
from class_inside.stopped import Stops  # noqa: E402
from class_openings.hub import HubLog  # noqa: E402
from class_signin import authenticator  # noqa: E402
from class_walls.hub import build, walled_roles  # noqa: E402
from class_walls.subdomains import configure as use_subdomains  # noqa: E402
from tornado.httpserver import HTTPServer  # noqa: E402

c = get_config()  # type: ignore[name-defined]  # noqa: F821
state = SETTINGS["state"]

# No TCP port behind nginx: any user with a shell could take it first (docs/decisions/unix-sockets.md).
places = Places()
c.JupyterHub.bind_url = url_of(places.front, SETTINGS["base_url"])
c.JupyterHub.hub_bind_url = c.JupyterHub.hub_connect_url = url_of(places.hub)
c.JupyterHub.hub_socket_mode = 0o660
# The hub reads a body completely. Requests to a server that does not run come here, and may be as big as an upload.
HTTPServer.configure(None, max_body_size=SETTINGS["max_body"])
c.JupyterHub.db_url = f"sqlite:///{state}/jupyterhub.sqlite"
c.JupyterHub.upgrade_db = True
c.JupyterHub.cookie_secret_file = f"{state}/cookie_secret"
# The proxy and the servers are separate units, and a restart of the hub touches neither.
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.cleanup_servers = False
c.JupyterHub.concurrent_spawn_limit = SETTINGS["spawner"]["concurrent_spawn_limit"]
c.JupyterHub.shutdown_on_logout = False
c.JupyterHub.template_paths = [f"{SETTINGS['root']}/templates"]
culler = SETTINGS["culler"]
idle_times = IdleTimes(culler["timeout"], culler["groups"])
stops = Stops(idle_times)
c.JupyterHub.template_vars = {"page": page_from("/etc/jupyterhub/page.json"), "why_stopped": stops.for_pages()}
# Logged here and not in a student's server, where the student could prevent it.
c.JupyterHub.tornado_settings = {"log_function": stops.listening(HubLog())}
visits = bool(SETTINGS["subdomain_host"])
build(c, visits=visits, secret_file=SETTINGS["owner_secret"])
c.JupyterHub.proxy_class = "class_inside.activity.QuietProxy"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = url_of(places.proxy_api)

if SETTINGS["subdomain_host"]:
    use_subdomains(c, SETTINGS["subdomain_host"])

signin = SETTINGS["signin"]
kind = authenticator(signin["kind"])
c.JupyterHub.authenticator_class = kind
c.ClassAuthenticator.allowed_groups = set(SETTINGS["allowed_groups"])
c.ClassAuthenticator.named_groups = {group for role in SETTINGS["roles"] for group in role.get("groups", [])}
c.ClassAuthenticator.identities_file = f"{state}/identities.json"
c.ClassAuthenticator.local_accounts = set(signin["local_accounts"])
c.ClassAuthenticator.manage_groups = True
c.ClassAuthenticator.left_file = SETTINGS["left_file"]
# A person who leaves a role loses it at once, in sessions and for tokens. Without "strict", a token of a locked account
# would keep the role as long as the token is valid.
c.ClassAuthenticator.auth_refresh_age = 1
c.ClassAuthenticator.auth_refresh_strict = True
c.ClassAuthenticator.refresh_pre_spawn = True
c[kind.__name__].update(signin["settings"])
if signin["client_secret"]:
    c[kind.__name__].client_secret = Path(f"{state}/oauth_client_secret").read_text().strip()

spawner = SETTINGS["spawner"]
c.JupyterHub.spawner_class = "class_inside.spawner.ClassSpawner"
c.ClassSpawner.versions = spawner["versions"]
c.Spawner.hub_connect_url = url_of(places.door)
c.Spawner.environment = {"JUPYTERHUB_ACTIVITY_INTERVAL": str(REPORTS)}
c.SystemdSpawner.cmd = spawner["cmd"]
c.SystemdSpawner.default_url = spawner["default_url"]
c.SystemdSpawner.start_timeout = spawner["start_timeout"] + spawner["queue_timeout"]
c.ClassSpawner.queue_timeout = spawner["queue_timeout"]
c.ClassSpawner.starts_at_once = spawner["starts_at_once"] or (os.cpu_count() or 1) + 1
c.ClassSpawner.start_memory = spawner["start_memory"] << 20
c.ClassSpawner.makes_room_after = spawner["makes_room_after"]
c.ClassSpawner.makes_no_room = set(spawner["makes_no_room"])
c.ClassSpawner.on_made_room = stops.made_room()
c.ClassSpawner.on_start = stops.started()
c.SystemdSpawner.http_timeout = spawner["http_timeout"]
c.SystemdSpawner.mem_limit = spawner["mem_limit"]
c.SystemdSpawner.cpu_limit = spawner["cpu_limit"]
c.SystemdSpawner.disable_user_config = True
c.SystemdSpawner.default_shell = "/bin/bash"
c.SystemdSpawner.unit_name_template = "jupyter-{USERNAME}"
c.SystemdSpawner.slice = "class.slice"
c.SystemdSpawner.unit_extra_properties = {
    # At the limit the kernel that grew is killed; the server survives and tells the student.
    "OOMPolicy": "continue",
    # With swap, a program that needs too much memory would slow down the machine instead of ending.
    "MemorySwapMax": "0",
    # Equal shares of the processors, whatever number of processes each has. systemd divides them between units only if
    # one has a weight or a quota, and without `cpu_limit` none has.
    "CPUWeight": "100",
    "TasksMax": str(spawner["tasks_max"]),
    "TimeoutStopSec": "20",
    # With journald's default, one student can fill the journal in minutes, and other units' lines are lost. If the disk
    # has room, journald multiplies the burst by up to six.
    "LogRateLimitIntervalSec": "30s",
    "LogRateLimitBurst": "300",
    # Otherwise lines that begin with <0> are shown in root's terminals, and each priority has a limit of its own.
    "SyslogLevelPrefix": "no",
    **{name: str(value) for name, value in spawner["unit_properties"].items()},
}
# Students' servers do not get the hub's environment.
c.SystemdSpawner.env_keep = ["LANG", "LC_ALL"]

# route-sync: the proxy's unit asks the hub for its routes after a restart.
services = [
    {"name": "route-sync", "api_token": os.environ.get("ROUTE_SYNC_TOKEN", "")},
    {
        "name": "students-work",
        "url": url_of(places.work),
        "api_token": os.environ.get("STUDENTS_WORK_TOKEN", ""),
        "oauth_no_confirm": True,
        "info": {"title": "Students' work"},
        # The hub can start without it, and does not wait long.
        "timeout": 2,
    },
]
roles = [
    *walled_roles(SETTINGS["roles"], visits=visits),
    {"name": "route-sync", "services": ["route-sync"], "scopes": ["proxy"]},
]
if culler["timeout"]:
    services.append(
        {
            "name": "idle-culler",
            "command": [
                sys.executable,
                "-m",
                "class_inside.culler",
                SETTINGS["base_url"],
                json.dumps(asdict(idle_times)),
                f"--cull-every={culler['every']}",
                f"--max-age={culler['max_age']}",
            ],
            "environment": {"PYTHONPATH": f"{SETTINGS['root']}/lib"},
        }
    )
    roles.append(
        {
            "name": "idle-culler",
            "description": "Stops servers that nobody uses",
            "services": ["idle-culler"],
            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        }
    )
early = SETTINGS["before_class"]
if early["times"]:
    plan = {
        **early,
        "each": c.ClassSpawner.start_memory,
        "slice": c.SystemdSpawner.slice,
        "record": f"{state}/before-class.json",
    }
    # If servers were stopped before the class begins, it would be in vain.
    plan["ahead"] = min(plan["ahead"], idle_times.shortest // 2 or plan["ahead"])
    services.append(
        {
            "name": "before-class",
            "command": [sys.executable, "-m", "class_inside.before_class", SETTINGS["base_url"], json.dumps(plan)],
            "environment": {"PYTHONPATH": f"{SETTINGS['root']}/lib"},
        }
    )
    roles.append(
        {
            "name": "before-class",
            "description": "Starts servers before a class begins",
            "services": ["before-class"],
            "scopes": [
                f"{scope}!group={group}"
                for group in early["groups"]
                for scope in ("list:users", "read:users:activity", "read:users:groups", "read:servers", "start:servers")
            ],
        }
    )
c.JupyterHub.services = services
c.JupyterHub.load_roles = roles

for name, traits in SETTINGS["config"].items():
    c[name].update(traits)
