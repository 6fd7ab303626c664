"""Images of servers and kernels: what a hub gets that uses them, and one that does not."""

from __future__ import annotations

import pytest

from tests.render.conftest import RELEASES
from tests.render.rendering import Renderer

pytestmark = pytest.mark.render


def test_warm_images_are_on_and_can_be_off(renderer: Renderer) -> None:
    """Off: servers and kernels start as usual. On: both start from images, each of which its own unit makes."""
    release = next(iter(RELEASES.values()))
    for warm in (False, True):
        found = renderer.formula("course_env", release, {"course_env": {"warm": warm, "pull": {}}})
        texts = {file.path: file.text for file in found.files()}
        assert not found.errors
        begins = "class_warm/begin.py /var/cache/coursehub-warm/server.image" in texts["/opt/course/bin/start-server"]
        assert begins == warm
        assert (
            '"image": "/var/cache/coursehub-warm/kernel.image"' in texts["/etc/jupyter/jupyter_server_config.py"]
        ) == warm
        cache = texts.get("/etc/tmpfiles.d/coursehub-warm.conf", "")
        assert ("\nD /var/cache/coursehub-warm 0755 root root\n" in cache) == warm
        for kind in ("server", "kernel"):
            unit = texts.get(f"/etc/systemd/system/coursehub-warm-{kind}.service", "")
            assert (f"class_warm/make.py {kind} /var/cache/coursehub-warm/{kind}.image.new" in unit) == warm
            for line in ("DynamicUser=yes", "LimitFSIZE=1G", "TimeoutStartSec=300"):
                assert (line in unit) == warm
