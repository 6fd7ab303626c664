"""One course's droplet: found and ordered, whatever an earlier run left half-done."""

from __future__ import annotations

from collections.abc import Callable

from runner.cloud import Order, Provider, Refused, Server, Unanswered
from runner.cloud.userdata import user_data
from runner.errors import CoursehubError
from runner.servers import birthplace
from runner.servers.access import Access

Progress = Callable[[str], None]


def found(cloud: Provider, access: Access, progress: Progress) -> list[Server]:
    """All droplets of the course, oldest first; one whose order was never answered too.

    Raises CoursehubError when there is none because the token opens another account than the one that has it.
    """
    servers = cloud.find(access.course_id, access.server())
    order = access.order_begun()
    if not servers and order and (server := cloud.ordered(access.course_id, *order, progress)):
        return [server]
    if not servers:
        birthplace.need_account(cloud, access)
    return servers


def single(cloud: Provider, access: Access, progress: Progress) -> Server | None:
    """The course's droplet, or None. Raises CoursehubError for several."""
    servers = found(cloud, access, progress)
    if len(servers) > 1:
        raise CoursehubError(cloud.several(access.course_id, servers))
    return servers[0] if servers else None


def order(cloud: Provider, access: Access, wanted: Order, progress: Progress) -> Server:
    """Order a droplet, once ``single`` has found none. It gets a host key that this computer knows before it exists.

    Raises Refused when the cloud does not take the order; then nothing is left of it. Any other CoursehubError can be
    followed by the same call again: a droplet that may have been made is looked for before another one is ordered.
    """
    access.forget_old_server()
    progress("ordering the droplet")
    key_id = cloud.ensure_key(access.alias, access.client_key().public)
    host_key = access.first_host_key()
    birthplace.keep(access, cloud)
    access.begin_order(wanted.name)
    try:
        server = cloud.order(
            wanted,
            key_id=key_id,
            user_data=user_data(host_private_key=host_key.private, host_public_key=host_key.public),
        )
    except Unanswered:
        access.order_unanswered()
        adopted = single(cloud, access, progress)
        if adopted is None:
            raise
        server = adopted
    except Refused:
        access.forget_old_server()
        cloud.remove_keys(access.alias)
        raise
    except CoursehubError:
        # Nothing was made (a refused token, a limit of requests): the next run need not look for it.
        access.forget_old_server()
        raise
    # Its id first of all: without it a rerun could only look for the droplet in lists, which may not have it yet.
    access.remember(server)
    return server
