"""Our changes to a person's server, with the packages of a course's environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.course_modules import inside
from tests.support.lesson import FILES

pytestmark = pytest.mark.unit

MB = 1 << 20


def test_kernel_is_first_to_go_and_safe(course_python: str) -> None:
    argv = inside(
        course_python,
        """
from class_server.kernels import ClassKernel, safe
from jupyter_client.kernelspec import KernelSpec
kernel = ClassKernel(connection_file="/run/x.json")
kernel._kernel_spec = KernelSpec(argv=["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"])
kernel._launch_args = {}
print(json.dumps([kernel.format_kernel_cmd(), sys.executable, safe(["R", "-m", "IRkernel"])]))
""",
    )
    command, python, other = argv
    assert command == ["/usr/bin/choom", "--adjust", "1000", "--", python, "-P", "-m", "ipykernel_launcher", "-f",
                       "/run/x.json"]  # fmt: skip
    assert other == ["R", "-m", "IRkernel"]


OPEN = """
import asyncio
from pathlib import Path
from class_server import memory
from tornado.web import HTTPError
contents = memory.ClassContents(root_dir=sys.argv[1] if len(sys.argv) > 1 else ROOT)
try:
    found = asyncio.run(contents.get(NAME, type="file"))
    print(json.dumps("opened"))
except HTTPError as refused:
    print(json.dumps([refused.status_code, refused.log_message]))
"""


@pytest.mark.parametrize(
    ("name", "size", "limit", "opens"),
    [
        ("small.txt", MB, "200000000", True),
        ("fits.txt", 47 * MB, str(512 * MB), True),
        ("big.txt", 49 * MB, str(512 * MB), False),
        ("big.txt", 49 * MB, "", True),
    ],
)
def test_file_too_big_for_memory_is_refused(
    course_python: str, tmp_path: Path, name: str, size: int, limit: str, opens: bool
) -> None:
    (tmp_path / name).write_text("x" * size)
    said = inside(course_python, f"ROOT, NAME = {str(tmp_path)!r}, {name!r}\n{OPEN}", MEM_LIMIT=limit)
    if opens:
        assert said == "opened"
    else:
        assert said[0] == 413
        assert said[1].startswith(f"{name} is too big for a tab: it has 49 MB, and your server has 512 MB of memory")


def test_notebook_of_many_outputs_is_refused(course_python: str, tmp_path: Path) -> None:
    """Its 18 MB would be acceptable as text; with 216,000 cells and outputs it killed a server with 512 MB."""
    cell = '{"cell_type": "code", "metadata": {}, "source": "", "outputs": [{"output_type": "stream", "text": "a"}]},'
    (tmp_path / "many.ipynb").write_text('{"cells": [' + cell * 108_000 + "{}]}")
    said = inside(course_python, f"ROOT, NAME = {str(tmp_path)!r}, 'many.ipynb'\n{OPEN}", MEM_LIMIT=str(512 * MB))
    assert said[0] == 413
    text = json.dumps({"cells": [{"text": cell * 100_000}]})
    (tmp_path / "text.ipynb").write_text(text)
    said = inside(course_python, f"ROOT, NAME = {str(tmp_path)!r}, 'text.ipynb'\n{OPEN}", MEM_LIMIT=str(512 * MB))
    assert said == "opened", "JSON that an output shows is text"


def test_save_too_big_for_memory_is_refused(course_python: str) -> None:
    said = inside(
        course_python,
        """
import asyncio
from types import SimpleNamespace
from jupyter_server.services.contents.handlers import ContentsHandler
from class_server import memory
from tornado.web import HTTPError

async def prepared(handler): print(json.dumps("saved"))
ContentsHandler.prepare = prepared
memory.refuse_big_saves()
for size in (40, 60):
    try:
        asyncio.run(ContentsHandler.prepare(SimpleNamespace(request=SimpleNamespace(body=b"x" * (size << 20)))))
    except HTTPError as refused:
        print(json.dumps([size, refused.status_code]))
""",
        MEM_LIMIT=str(512 * MB),
    )
    assert said == [60, 413]


UPLOAD = """
import asyncio, base64
from pathlib import Path
from class_server import memory, uploads
from tornado.web import HTTPError
contents = memory.ClassContents(root_dir=ROOT)
contents.uploads = uploads.Uploads(Path(ROOT, "settings.json"))

def send(name, *pieces):
    try:
        for number, size in pieces:
            content = base64.b64encode(b"x" * size).decode()
            model = {"type": "file", "format": "base64", "content": content, "chunk": number}
            asyncio.run(contents.save(model, name))
    except HTTPError as refused:
        return [refused.status_code, refused.log_message]
    return Path(ROOT, name).stat().st_size

print(json.dumps([send(*one) for one in ASKED]))
"""


def test_upload_in_pieces_has_the_courses_limit(course_python: str, tmp_path: Path) -> None:
    """Pieces of a refused upload go. A file that did not come by an upload stays."""
    (tmp_path / "settings.json").write_text('{"limit": "3M"}')
    (tmp_path / "own.bin").write_bytes(b"y" * 4 * MB)
    asked = [
        ("fits.bin", (1, MB), (2, MB), (-1, MB)),
        ("big.bin", (1, MB), (2, MB), (3, MB), (-1, 1)),
        ("own.bin", (-1, 10)),
        ("again.bin", (1, MB), (-1, MB)),
        ("again.bin", (1, MB), (-1, 5)),
    ]
    fits, big, own, first, second = inside(course_python, f"ROOT, ASKED = {str(tmp_path)!r}, {asked!r}\n{UPLOAD}")
    assert (fits, first, second) == (3 * MB, 2 * MB, MB + 5)
    assert big == [
        413,
        "big.bin is bigger than 3 MB, the most that can be uploaded in this course. "
        "Ask your teacher for a bigger limit.",
    ]
    assert not (tmp_path / "big.bin").exists()
    assert own[0] == 413
    assert (tmp_path / "own.bin").stat().st_size == 4 * MB


@pytest.mark.parametrize(
    ("text", "found"),
    [('{"limit": "100M"}', 100 * MB), ('{"limit": "2G"}', 2048 * MB), ('{"limit": null}', None), ("{", None)],
)
def test_upload_limit_is_read_from_the_settings(
    course_python: str, tmp_path: Path, text: str, found: int | None
) -> None:
    (tmp_path / "s.json").write_text(text)
    script = "from pathlib import Path\nfrom class_server import uploads\n"
    assert (
        inside(course_python, f"{script}print(json.dumps(uploads.limit(Path({str(tmp_path / 's.json')!r}))))") == found
    )


def test_forked_child_goes_first(course_python: str) -> None:
    said = inside(
        course_python,
        """
import os
from class_server import memory
memory.children_go_first()
reader, writer = os.pipe()
if os.fork() == 0:
    os.write(writer, open("/proc/self/oom_score_adj").read().encode())
    os._exit(0)
os.wait()
print(json.dumps([int(os.read(reader, 99)), int(open("/proc/self/oom_score_adj").read())]))
""",
    )
    assert said[0] == 1000
    assert said[1] < 1000


@pytest.mark.parametrize(("ending", "kept"), [("", True), ("import os, signal; os.kill(os.getpid(), 9)", False)])
def test_layout_is_kept_unless_the_server_was_killed(
    course_python: str, tmp_path: Path, ending: str, kept: bool
) -> None:
    layout = tmp_path / ".jupyter/lab/workspaces/default-37a8.jupyterlab-workspace"
    layout.parent.mkdir(parents=True)
    layout.touch()
    (tmp_path / "mine.ipynb").touch()
    script = "from class_server.layout import forget_after_a_kill\nforget_after_a_kill()\n"
    for end in (ending, ""):
        subprocess.run(
            [course_python, "-B", "-c", script + end],
            env={"HOME": str(tmp_path), "PYTHONPATH": str(FILES)}, check=False, timeout=60,
        )  # fmt: skip
    assert layout.exists() is kept
    assert (tmp_path / "mine.ipynb").exists()


def test_server_starts_without_the_hubs_database(course_python: str) -> None:
    """Modules that singleuser never calls are not imported at first, but a later import gets the real ones."""
    found = inside(
        course_python,
        """
from class_server.single_user import without_the_hub
with without_the_hub():
    import jupyterhub.singleuser
    from jupyterhub.services.auth import HubOAuth
heavy = [name for name in sys.modules if name.partition(".")[0] in ("sqlalchemy", "alembic")]
same = HubOAuth.check_scopes(HubOAuth(), ["access:servers!user=ada"], {"scopes": ["access:servers!user=ada"]})
other = HubOAuth.check_scopes(HubOAuth(), ["access:servers!user=bob"], {"scopes": ["access:servers!user=ada"]})
from jupyterhub import orm
import sqlalchemy
print(json.dumps([heavy, sorted(same), sorted(other), orm.User.__tablename__, bool(sqlalchemy.__version__)]))
""",
        JUPYTERHUB_API_TOKEN="x",
    )
    assert found == [[], ["access:servers!user=ada"], [], "users", True]


def test_server_of_another_jupyterhub_imports_all(course_python: str, tmp_path: Path) -> None:
    """A version that needs them at once imports them and starts as usual."""
    package = tmp_path / "jupyterhub" / "singleuser"
    package.mkdir(parents=True)
    (tmp_path / "jupyterhub" / "__init__.py").touch()
    (tmp_path / "jupyterhub" / "orm.py").write_text("TABLES = 3\n")
    (package / "__init__.py").write_text(
        "from jupyterhub import orm\nfirst = orm.TABLES + 1\ndef main():\n    print(first)\n"
    )
    found = inside(
        course_python,
        f"""
sys.path.insert(0, {str(tmp_path)!r})
from class_server import single_user
try:
    single_user.main()
except SystemExit as ended:
    assert not ended.code
""",
    )
    assert found == 4


def test_language_servers_are_looked_for_where_one_may_be(course_python: str, tmp_path: Path) -> None:
    ask = "from class_server.languages import may_be_there\nprint(json.dumps(may_be_there()))"
    without = {"PATH": str(tmp_path)}
    before = inside(course_python, ask, **without)
    (tmp_path / "texlab").write_text("#!/bin/sh\n")
    (tmp_path / "texlab").chmod(0o755)
    assert [before, inside(course_python, ask, **without)] == [
        Path("/usr/local/lib/node_modules").is_dir() or Path("/usr/lib/node_modules").is_dir(),
        True,
    ]


def test_listeners_are_looked_for_only_with_a_language_server(course_python: str) -> None:
    """They are entry points of other packages. This environment may have none, so the search itself is counted."""
    found = inside(
        course_python,
        """
from jupyter_lsp import manager
from traitlets.config import Config
from class_server.languages import look_only_where_needed

looked = []
manager.entry_points = lambda **named: looked.append(named) or []
config = Config()
look_only_where_needed(config)
counts = []
for servers in ({}, {"one": {"version": 2, "argv": ["true"], "languages": ["x"], "mime_types": ["text/x"]}}):
    made = manager.LanguageServerManager(config=config, autodetect=False, language_servers=servers)
    looked.clear()
    made.initialize()
    counts.append(len(looked))
print(json.dumps(counts))
""",
    )
    assert found == [0, 3]


def test_sockets_of_a_closed_laptop_end(course_python: str, tmp_path: Path) -> None:
    """One browser answers pings and one does not: after some seconds only the first is still connected."""
    ended = inside(
        course_python,
        """
import asyncio
from jupyter_server.serverapp import ServerApp
from tornado.netutil import bind_sockets
from tornado.websocket import websocket_connect
from traitlets.config import Config
from class_server.sockets import end_abandoned

config = Config()
end_abandoned(config, 1)

async def main():
    app = ServerApp(config=config, port=0, open_browser=False, allow_root=True)
    app.initialize(argv=["--IdentityProvider.token=", "--ServerApp.port=0"], find_extensions=False)
    listening = bind_sockets(0, "127.0.0.1")
    app.http_server.add_sockets(listening)
    port = listening[0].getsockname()[1]
    url = f"ws://127.0.0.1:{port}/api/events/subscribe"
    answers, silent = await websocket_connect(url), await websocket_connect(url)
    # Tornado's client answers each ping as it arrives; this one does not.
    silent.protocol.write_ping = silent.protocol._write_frame = lambda *_, **__: asyncio.sleep(0)
    closed = {}
    for name, socket in (("answers", answers), ("silent", silent)):
        try:
            await asyncio.wait_for(socket.read_message(), 5)
            closed[name] = True
        except TimeoutError:
            closed[name] = False
    print(json.dumps(closed), flush=True)
    os._exit(0)

import os
asyncio.run(main())
""",
        HOME=str(tmp_path), JUPYTER_RUNTIME_DIR=str(tmp_path),
    )  # fmt: skip
    assert ended == {"answers": False, "silent": True}


def test_server_has_no_ipython_until_an_extension_needs_it(course_python: str, tmp_path: Path) -> None:
    """Kernels in ~/.ipython are found, and so is an extension that only the classic notebook knows."""
    kernel, places = tmp_path / ".ipython/kernels/own", tmp_path / ".jupyter/jupyter_notebook_config.d"
    kernel.mkdir(parents=True)
    places.mkdir(parents=True)
    (kernel / "kernel.json").write_text('{"argv": ["true"], "display_name": "Mine", "language": "none"}')
    script = """
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config
from class_server.without_ipython import spare_ipython

config = Config()
spare_ipython(config)
app = ServerApp(config=config, port=0, open_browser=False, allow_root=True)
app.initialize(argv=["--ServerApp.port=0"])
kernels = sorted(app.kernel_spec_manager.get_all_specs())
shim = app.extension_manager.extensions["notebook_shim"].enabled
print(json.dumps(["IPython" in sys.modules, "own" in kernels, shim]))
"""
    found = []
    for extension in ("nbgitpuller", "some_old_extension"):
        document = {"NotebookApp": {"nbserver_extensions": {extension: True}}}
        (places / "one.json").write_text(json.dumps(document))
        found.append(inside(course_python, script, HOME=str(tmp_path)))
    assert found == [[False, True, False], [True, True, True]]
