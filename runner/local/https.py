"""The certificate of pebble's own HTTPS, the authority that signs it, and the name constraints of pebble's root."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runner.files import write_whole

CA_YEARS = 10
#: Names that no real site has (RFC 2606).
RESERVED = ("test", "example", "invalid", "localhost", "example.com", "example.net", "example.org")
_NO_ADDRESS = [x509.IPAddress(ipaddress.ip_network(every)) for every in ("0.0.0.0/0", "::/0")]


def make_https_certificate(directory: Path, gateway: str) -> None:
    """Make a small authority and its certificate for pebble's HTTPS once; both are kept over restarts."""
    if (directory / "https.pem").exists():
        return
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"coursehub local cloud, HTTPS of pebble at {gateway}")]
    )
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(gateway)),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.DNSName("localhost"),
    ]
    leaf = (
        _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pebble")]), ca_name, key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # Python 3.13 and later verify strictly and need the signing key's identifier.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_whole(directory / "https.key", private.decode(), 0o600)
    write_whole(directory / "acme-ca.pem", ca.public_bytes(serialization.Encoding.PEM).decode())
    write_whole(directory / "https.pem", leaf.public_bytes(serialization.Encoding.PEM).decode())


def names_of(zones: Iterable[str]) -> tuple[str, ...]:
    """The names for which the local cloud's root may issue: the reserved ones, and zones that are not below them."""
    others = {zone for zone in zones if not any(zone == one or zone.endswith(f".{one}") for one in RESERVED)}
    return (*RESERVED, *sorted(others))


def constrained(root: str, key: str, names: Iterable[str]) -> str:
    """The same root authority as PEM, with its own key, but valid only for ``names`` and names below them.

    A browser that trusts it accepts nothing that the key signs for other names.
    """
    old = x509.load_pem_x509_certificate(root.encode())
    private = serialization.load_pem_private_key(key.encode(), None)
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError(f"a root with a key of another kind: {type(private).__name__}")
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.subject)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    builder = builder.add_extension(_constraints(names), critical=True)
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def with_root(bundle: str, root: str, key: str, names: Iterable[str]) -> str:
    """The PEM ``bundle`` with this root, constrained to ``names``; unchanged if it contains exactly that already."""
    new = x509.load_pem_x509_certificate(root.encode())
    kept = []
    for one in x509.load_pem_x509_certificates(bundle.encode()) if bundle.strip() else []:
        if one.public_key() != new.public_key():
            kept.append(one.public_bytes(serialization.Encoding.PEM).decode())
            continue
        with contextlib.suppress(x509.ExtensionNotFound):
            if one.extensions.get_extension_for_class(x509.NameConstraints).value == _constraints(names):
                return bundle
    return "".join([*kept, constrained(root, key, names)])


def _constraints(names: Iterable[str]) -> x509.NameConstraints:
    return x509.NameConstraints([x509.DNSName(name) for name in names], _NO_ADDRESS)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=365 * CA_YEARS))
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
