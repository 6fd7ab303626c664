"""Lists of what costs money beside droplets. The local cloud makes none of it; tests put it into the account."""

from __future__ import annotations

from runner.local.api.call import Call, Document, Handler, Routes

KINDS = ("volumes", "snapshots", "reserved_ips", "load_balancers")


def _list(kind: str) -> Handler:
    def listed(call: Call) -> tuple[int, Document]:
        with call.cloud.reading() as store:
            return 200, call.page(kind, store.account.others.get(kind, []), lambda one: one)

    return listed


ROUTES: Routes = tuple(("GET", f"/v2/{kind}", _list(kind)) for kind in KINDS)
