"""Finds and orders one course's droplet, also after an interrupted run."""

from __future__ import annotations

from collections.abc import Callable

from runner.cloud import Order, Provider, Refused, Server, Unanswered
from runner.cloud.userdata import user_data
from runner.errors import CoursehubError
from runner.servers import birthplace
from runner.servers.access import Access

Progress = Callable[[str], None]


def found(cloud: Provider, access: Access, progress: Progress) -> list[Server]:
    """All droplets of the course, oldest first, including one whose order was never answered.

    Raises CoursehubError if none is found because the token is for another account.
    """
    servers = cloud.find(access.course_id, access.server())
    order = access.order_begun()
    if not servers and order and (server := cloud.ordered(access.course_id, *order, progress)):
        return [server]
    if not servers:
        birthplace.need_account(cloud, access)
    return servers


def single(cloud: Provider, access: Access, progress: Progress) -> Server | None:
    """The course's droplet, or None. Raises CoursehubError if there are several."""
    servers = found(cloud, access, progress)
    if len(servers) > 1:
        raise CoursehubError(cloud.several(access.course_id, servers))
    return servers[0] if servers else None


def order(cloud: Provider, access: Access, wanted: Order, progress: Progress) -> Server:
    """Order a droplet; call ``single`` first. It gets a host key that this computer makes before the order.

    Raises Refused if the cloud rejects the order; then nothing remains of it. After any other CoursehubError the same
    call can be repeated: it first looks for a droplet that may have been made.
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
        # Nothing was made (an invalid token, a rate limit), so the next run need not look for it.
        access.forget_old_server()
        raise
    # Store the id first. Without it another run could only search lists, which may not contain the droplet yet.
    access.remember(server)
    return server
