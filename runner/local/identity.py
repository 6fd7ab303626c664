"""Names and paths of one local cloud, all derived from its state directory."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from pathlib import Path

DATA_ROOT = Path("/var/lib/coursehub")
CACHE_ROOT = Path("/var/cache/coursehub")
# Held while something is changed that all clouds of this host share. The file is permanent, so it is in the cache
# directory.
HOST_LOCK = CACHE_ROOT / "host.lock"
ZONE = "coursehub.test"
DNS_PORT = 53
ACME_PORT = 14000
METADATA_PORT = 8169
#: Where the machines keep their backups.
BACKUP_PORT = 8170
#: On this port pebble gives the root's private key to every client.
KEYS_PORT = 15000


@dataclass(frozen=True)
class Identity:
    """One local cloud on this host. Two state directories never share a name, a file or an address.

    Interface names fit into the kernel's 15 characters.
    """

    state: Path
    key: str

    @classmethod
    def of(cls, state: Path) -> Identity:
        """The identity for a state directory, which need not exist yet."""
        resolved = state.resolve()
        return cls(resolved, hashlib.sha256(str(resolved).encode()).hexdigest()[:8])

    @property
    def directory(self) -> Path:
        """The API's data: token, droplets, records, logs."""
        return self.state / "cloud"

    @property
    def lock(self) -> Path:
        """Held while the cloud starts or stops. It is beside the directory, which is deleted while the lock is held."""
        return self.state / "cloud.lock"

    @property
    def data(self) -> Path:
        """The machines' disks."""
        return DATA_ROOT / self.key

    @property
    def bridge(self) -> str:
        """The cloud's bridge, which has the gateway address."""
        return f"ch-{self.key}"

    @property
    def nft_table(self) -> str:
        """The nftables table (family ip) with masquerading and the metadata redirect."""
        return f"coursehub_{self.key}"

    @property
    def keys_address(self) -> str:
        """This cloud's loopback address on which pebble gives its keys away; the firewall allows only root."""
        first, second, third, _ = bytes.fromhex(self.key)
        return f"127.{64 + first % 64}.{second}.{third | 1}"

    @property
    def hosts_mark(self) -> str:
        """The comment at the end of our lines in /etc/hosts."""
        return f"# coursehub-{self.key}"

    def netns(self, droplet_id: int) -> str:
        """A machine's network namespace."""
        return f"ch-{self.key}-{droplet_id}"

    def machine(self, droplet_id: int) -> str:
        """A machine's name for systemd-nspawn, and of its control groups."""
        return f"ch-{self.key}-{droplet_id}"

    def veth(self, slot: int) -> str:
        """The host's end of a machine's veth pair."""
        return f"chv{self.key}.{slot}"


@dataclass(frozen=True)
class Subnet:
    """The /24 network of one local cloud."""

    network: ipaddress.IPv4Network

    @property
    def gateway(self) -> str:
        """The host's address: gateway, name server, ACME server, metadata."""
        return str(self.network.network_address + 1)

    def address(self, slot: int) -> str:
        """The address of a slot; machines have 10 to 250."""
        return str(self.network.network_address + slot)

    @property
    def network6(self) -> ipaddress.IPv6Network:
        """The same network as IPv6 has it: unique local addresses, which lead nowhere beyond this host."""
        _, second, third, _ = self.network.network_address.packed
        return ipaddress.IPv6Network(f"fd63:6f75:7273:{second:02x}{third:02x}::/64")

    @property
    def gateway6(self) -> str:
        """The host's IPv6 address."""
        return str(self.network6.network_address + 1)

    def address6(self, slot: int) -> str:
        """The IPv6 address of a slot."""
        return str(self.network6.network_address + slot)
