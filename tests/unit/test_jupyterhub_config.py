"""The hub's configuration, loaded by the JupyterHub of the hub's lock (installed for the test by uv)."""

import json
import subprocess

import pytest

from tests.support.hub_config import DEFAULTS, FILES, render

pytestmark = pytest.mark.unit

# Loads configurations as the hub would and prints the results.
LOAD = """
import json, sys
from pathlib import Path
from traitlets.config import PyFileConfigLoader
paths = map(Path, sys.argv[1:])
loaded = [PyFileConfigLoader(path.name, path=str(path.parent)).load_config() for path in paths]
print(json.dumps(loaded, default=repr))
"""
CHECK_ALL = """
import contextlib, io, json, sys
sys.path.insert(0, sys.argv[1])
import check_config
found = {}
for path in sys.argv[2:]:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = check_config.main(path)
    found[path] = [code, said.getvalue()]
print(json.dumps(found))
"""


#: Changes to the formula's defaults, by what the test checks.
CHANGES = {
    "defaults": {},
    "limits": {
        "spawner": {**DEFAULTS["spawner"], "mem_limit": "700M", "tasks_max": 99, "unit_properties": {"IOWeight": 5}}
    },
    "visits": {"subdomain_host": "https://hub.example.edu"},
    "no culler": {"culler": {**DEFAULTS["culler"], "timeout": 0}},
}


@pytest.fixture(scope="session")
def loaded(hub_python, tmp_path_factory):
    """The configuration after each of ``CHANGES``, in one process, because importing the hub takes longest."""
    folder = tmp_path_factory.mktemp("config")
    paths = [str(render(folder / name, **changes)) for name, changes in CHANGES.items()]
    done = subprocess.run([hub_python, "-c", LOAD, *paths], capture_output=True, text=True, check=True)
    return dict(zip(CHANGES, json.loads(done.stdout), strict=True))


@pytest.fixture
def defaults(loaded):
    return loaded["defaults"]


def test_nothing_of_the_hub_listens_at_a_tcp_port(defaults):
    """Any user with a shell could take a TCP port first and keep it while its owner restarts."""
    hub = defaults["JupyterHub"]
    below = "http+unix://%2Frun%2Fcoursehub%2F"
    assert hub["bind_url"] == f"{below}front%2Fproxy.sock/"
    assert hub["hub_bind_url"] == hub["hub_connect_url"] == f"{below}hub%2Fhub.sock"
    assert hub["hub_socket_mode"] == 0o660
    assert defaults["ConfigurableHTTPProxy"]["api_url"] == f"{below}proxy-api%2Fapi.sock"
    assert defaults["Spawner"]["hub_connect_url"] == f"{below}door%2Fhub.sock"
    assert [service["url"] for service in hub["services"] if "url" in service] == [f"{below}work%2Fwork.sock"]
    assert hub["spawner_class"] == "class_inside.spawner.ClassSpawner"


def test_a_restart_of_the_hub_stops_neither_proxy_nor_servers(defaults):
    assert defaults["JupyterHub"]["cleanup_servers"] is False
    assert defaults["JupyterHub"]["cleanup_proxy"] is False
    assert defaults["ConfigurableHTTPProxy"]["should_start"] is False


def test_the_configuration_names_groups_and_no_people(defaults):
    authenticator = defaults["ClassAuthenticator"]
    assert "allowed_users" not in authenticator
    assert "admin_users" not in authenticator
    assert "allow_all" not in authenticator
    assert authenticator["manage_groups"] is True
    for role in defaults["JupyterHub"]["load_roles"]:
        assert "users" not in role


def test_a_role_ends_for_sessions_and_tokens_with_the_groups(defaults):
    """Without "strict", JupyterHub 6.1 lets the token of a locked account keep its owner's rights."""
    authenticator = defaults["ClassAuthenticator"]
    assert authenticator["auth_refresh_strict"] is True
    assert authenticator["auth_refresh_age"] == 1


REFRESH = """
import asyncio, json, os, sys
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
from class_signin import accounts
files = [Path(sys.argv[2]) / name for name in ("passwd", "shadow", "group")]
for path in files:
    path.write_text("")
accounts.FILES = files
asked, model = [], {"name": "ada", "groups": ["assistants"]}
async def open_account(self, name):
    asked.append(name)
    return model
accounts.ClassAuthenticator.open_account = open_account
one = accounts.ClassAuthenticator(allowed_groups={"students", "assistants"})
ada = SimpleNamespace(name="ada", cookie_id="x")
def refresh():
    return asyncio.run(one.refresh_user(ada))
said = [refresh(), refresh()]
for path in files:
    new = path.with_suffix(".new")
    new.write_text("")
    new.replace(path)
    said += [refresh(), refresh()]
accounts.LOOK_AGAIN = 0
said.append(refresh())
accounts.LOOK_AGAIN = 60
files[2].write_text("changed")
model = None
said += [refresh(), refresh()]
model = {"name": "ada", "groups": ["strangers"]}
said += [refresh()]
print(json.dumps([said, len(asked)]))
"""


def test_the_hub_looks_again_when_the_machines_accounts_changed(hub_python, tmp_path):
    """People who were refused are checked again each time."""
    argv = [hub_python, "-c", REFRESH, str(FILES), str(tmp_path)]
    said, asked = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    model = {"name": "ada", "groups": ["assistants"]}
    assert said == [model, True, model, True, model, True, model, True, model, False, False, False]
    assert asked == 8


def test_nobody_gets_more_scopes_than_the_work_needs(defaults):
    scopes = {role["name"]: set(role["scopes"]) for role in defaults["JupyterHub"]["load_roles"]}
    assert scopes["idle-culler"] == {"list:users", "read:users:activity", "read:servers", "delete:servers"}
    assert scopes["route-sync"] == {"proxy"}
    assert scopes["user"] == {"read:users!user", "users:activity!user", "servers!user", "access:servers!user"}
    for name in ("instructor", "assistant"):
        assert not {scope for scope in scopes[name] if scope.startswith(("admin:", "shares", "tokens", "users"))}
        learners = ("!group=students", "!group=guests")
        assert all(
            scope.endswith(learners) for scope in scopes[name] if scope.startswith(("access:servers", "servers"))
        )
        assert {scope for scope in scopes[name] if scope.startswith("access:services")} == {
            "access:services!service=students-work"
        }


def test_nobody_opens_anothers_server_on_one_domain(loaded):
    """What runs there would act in the visitor's name."""

    def opened(what):
        roles = loaded[what]["JupyterHub"]["load_roles"]
        return {scope for role in roles for scope in role["scopes"] if scope.startswith("access:servers")}

    assert opened("defaults") == {"access:servers!user"}
    assert opened("visits") == {"access:servers!user", "access:servers!group=students", "access:servers!group=guests"}
    assert "extra_handlers" not in loaded["visits"]["JupyterHub"]


def test_cookies_go_over_tls_alone_and_to_no_other_site(defaults):
    """The token of a page is not readable by scripts, because it is in the page itself."""
    settings = defaults["JupyterHub"]["tornado_settings"]
    assert settings["cookie_options"] == {"secure": True, "samesite": "Lax"}
    assert settings["xsrf_cookie_kwargs"] == {"secure": True, "samesite": "Lax", "httponly": True}


def test_students_cannot_configure_their_way_out(defaults):
    spawner = defaults["SystemdSpawner"]
    assert spawner["disable_user_config"] is True
    assert spawner["slice"] == "class.slice"


def test_limits_come_from_pillar_as_systemd_wants_them(loaded):
    spawner = loaded["limits"]["SystemdSpawner"]
    assert spawner["mem_limit"] == "700M"
    properties = spawner["unit_extra_properties"]
    assert properties["TasksMax"] == "99"
    assert properties["IOWeight"] == "5"
    assert properties["MemorySwapMax"] == "0"
    assert properties["CPUWeight"] == "100"
    assert properties["OOMPolicy"] == "continue"
    assert all(isinstance(value, str) for value in properties.values()), "systemdspawner formats each as a string"


def test_no_culler_when_it_is_off(loaded):
    hub = loaded["no culler"]["JupyterHub"]
    assert [service["name"] for service in hub["services"]] == ["route-sync", "students-work"]
    assert "idle-culler" not in {role["name"] for role in hub["load_roles"]}


REFUSED = {
    "misspelt": (
        {"JupyterHub": {"admin_acces": True}},
        "JupyterHub has no setting admin_acces; did you mean admin_access?",
    ),
    "class": ({"SystemSpawner": {"cmd": []}}, "no class SystemSpawner in JupyterHub; did you mean SystemdSpawner?"),
    "type": ({"JupyterHub": {"concurrent_spawn_limit": "many"}}, "expected an int, not the str 'many'"),
    "spawner": ({"SystemdSpawner": {"mem_limit": "lots"}}, "SystemdSpawner.mem_limit: lots is not a valid memory"),
    "inherited": ({"Spawner": {"default_url": 7}}, "Spawner.default_url: The "),
    "authenticator": ({"ClassAuthenticator": {"auth_refresh_age": "x"}}, "expected an int, not the str 'x'"),
    "scope": (
        {"JupyterHub": {"load_roles": [{"name": "r", "scopes": ["list:usrs"], "groups": []}]}},
        "role r: no scope list:usrs; did you mean list:users?",
    ),
}
ACCEPTED = {
    "defaults": {},
    "announcement": {"JupyterHub": {"template_vars": {"announcement": 'Lab due at noon: """ \' {{ x }} ü'}}},
    "environment": {"SystemdSpawner": {"environment": {"A": "b"}}, "Spawner": {"default_url": "/tree"}},
}


# The settings of a kind of sign-in, as pillar/hub.sls makes them.
SIGNIN = {
    "password": {},
    "google": {
        "client_id": "a",
        "oauth_callback_url": "https://x.test/hub/oauth_callback",
        "hosted_domain": ["x.test"],
    },
    "github": {"client_id": "a", "oauth_callback_url": "https://x.test/hub/oauth_callback"},
    "microsoft": {"client_id": "a", "tenant_id": "t", "login_service": "Microsoft", "scope": ["openid", "email"]},
    "oidc": {"client_id": "a", "issuer": "https://x.test", "claim": "email", "login_service": "The College"},
    "lti13": {"client_id": ["a"], "issuer": "https://x.test", "jwks_endpoint": "https://x.test/jwks", "lms": "the LMS"},
}


def signin_of(folder, kind, **settings):
    """Changes to the formula's defaults for a kind of sign-in, with the files that the states would make."""
    folder.mkdir(exist_ok=True)
    secret = kind not in {"password", "lti13"}
    if secret:
        (folder / "oauth_client_secret").write_text("not a secret\n")
    chosen = {**DEFAULTS["signin"], "kind": kind, "settings": {**SIGNIN[kind], **settings}, "client_secret": secret}
    return {"signin": chosen, "state": str(folder)}


@pytest.fixture(scope="session")
def verdicts(hub_python, tmp_path_factory):
    """Run the check that protects the running configuration on all configurations, in one process."""
    folder = tmp_path_factory.mktemp("checked")
    configs = {**{name: config for name, (config, _) in REFUSED.items()}, **ACCEPTED}
    paths = {str(render(folder / name, config=config)): name for name, config in configs.items()}
    for kind in SIGNIN:
        paths[str(render(folder / kind, **signin_of(folder / f"{kind}-state", kind)))] = f"signin {kind}"
    wrong = signin_of(folder / "wrong-state", "oidc", isuer="https://x.test")
    paths[str(render(folder / "signin-wrong", **wrong))] = "signin misspelt"
    broken = folder / "broken.py"
    broken.write_text("c = get_config()\nc.JupyterHub.port = = 8000\n")
    paths[str(broken)] = "syntax"
    done = subprocess.run([hub_python, "-c", CHECK_ALL, str(FILES), *paths], capture_output=True, text=True, check=True)
    return {paths[path]: verdict for path, verdict in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", REFUSED)
def test_configuration_that_the_hub_rejects_is_one_line(verdicts, name):
    code, said = verdicts[name]
    assert code == 1
    assert REFUSED[name][1] in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_it_would_start_with_passes(verdicts, name):
    assert verdicts[name] == [0, ""]


def test_what_is_not_python_is_refused(verdicts):
    code, said = verdicts["syntax"]
    assert code == 1
    assert "SyntaxError" in said


@pytest.mark.parametrize("kind", SIGNIN)
def test_the_hub_would_start_with_each_kind_of_sign_in(verdicts, kind):
    assert verdicts[f"signin {kind}"] == [0, ""]


def test_a_misspelt_setting_of_sign_in_is_refused(verdicts):
    code, said = verdicts["signin misspelt"]
    assert (code, said) == (1, "hub configuration refused: ClassOIDC has no setting isuer; did you mean issuer?\n")
