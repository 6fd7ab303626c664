"""uv installs from the Python index, through the network's proxy."""

from __future__ import annotations

from testinfra.host import Host


def test_it_makes_an_environment_and_installs(host: Host) -> None:
    host.check_output("rm -rf /tmp/kitchen-uv && /opt/uv/uv venv --quiet --python /usr/bin/python3 /tmp/kitchen-uv")
    host.check_output(
        "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt /opt/uv/uv pip install --quiet --no-cache "
        "--python /tmp/kitchen-uv/bin/python idna"
    )
    assert (
        host.check_output(
            "/tmp/kitchen-uv/bin/python -c %s", "import idna; print(idna.encode('bücher.example').decode())"
        )
        == "xn--bcher-kva.example"
    )


def test_what_runs_is_the_version_of_the_directory(host: Host) -> None:
    path = host.check_output("readlink -f /opt/uv/uv")
    assert f"/{host.check_output('/opt/uv/uv --version').split()[1]}/" in path


def test_students_cannot_change_it(host: Host) -> None:
    assert host.check_output("find /opt/uv -perm -o+w ! -type l") == ""
    assert host.check_output("find /opt/uv ! -user root") == ""
    assert host.run("runuser -u nobody -- /opt/uv/uv --version").rc == 0
