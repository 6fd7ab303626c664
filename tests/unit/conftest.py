"""What unit tests of the programs on a server share."""

from pathlib import Path

import pytest

from tests.support.environments import python_of

HUB_LOCK = Path(__file__).parents[2] / "formulas/jupyterhub/files/hub.txt"


@pytest.fixture(scope="session")
def hub_python(tmp_path_factory):
    """The Python of an environment with exactly what the hub runs."""
    return python_of(HUB_LOCK, tmp_path_factory.mktemp("hub"))
