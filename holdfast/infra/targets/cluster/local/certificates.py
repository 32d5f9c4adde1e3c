"""The cluster's certificates: two authorities, a serving or client certificate for each component (ECDSA P-256)."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast.infra.targets.cluster.local.layout import API_SERVICE, DOMAIN, NODE, NODE_ADDRESS

VALID = datetime.timedelta(days=365)
CLOCK_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Client:
    """Who a component is to the API server: its common name is the user, its organizations are the groups."""

    user: str
    groups: tuple[str, ...] = ()


CLIENTS = {
    "admin": Client("holdfast-admin", ("system:masters",)),
    "kube-controller-manager": Client("system:kube-controller-manager"),
    "kube-scheduler": Client("system:kube-scheduler"),
    "kube-proxy": Client("system:kube-proxy"),
    "kubelet": Client(f"system:node:{NODE}", ("system:nodes",)),
    "coredns": Client("system:coredns"),
    "metrics-server": Client("system:metrics-server"),
    "kube-apiserver-kubelet": Client("kube-apiserver-kubelet"),
}
"""The components' users; the names that begin with `system:` are bound to their roles by Kubernetes itself."""

API_NAMES = (
    *("kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{DOMAIN}", "localhost"),
    *(API_SERVICE, NODE_ADDRESS, "127.0.0.1"),
)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority of one cluster; it lives as long as the cluster."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name, ())
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        self._certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pair(self) -> Pair:
        """The authority itself, for those who trust it and for the controller that signs with it."""
        return Pair(self._certificate.public_bytes(Encoding.PEM), _key_pem(self._key))

    def client(self, client: Client) -> Pair:
        """A certificate that says who a caller is."""
        return self._issue(_name(client.user, client.groups), (), ExtendedKeyUsageOID.CLIENT_AUTH)

    def server(self, common_name: str, names: Sequence[str]) -> Pair:
        """A certificate for a listener at `names` (DNS names and IP addresses)."""
        return self._issue(_name(common_name, ()), names, ExtendedKeyUsageOID.SERVER_AUTH)

    def _issue(self, subject: x509.Name, names: Sequence[str], usage: x509.ObjectIdentifier) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(subject, self._name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
        return Pair(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM), _key_pem(key))


def all_files() -> dict[str, bytes]:
    """Every certificate and key of a new cluster: file name in the pki folder to content."""
    cluster, front = Authority("holdfast-cluster"), Authority("holdfast-front-proxy")
    pairs = {name: cluster.client(client) for name, client in CLIENTS.items()}
    pairs["ca"] = cluster.pair
    pairs["front-proxy-ca"] = front.pair
    pairs["front-proxy"] = front.client(Client("front-proxy-client"))
    pairs["kube-apiserver"] = cluster.server("kube-apiserver", API_NAMES)
    pairs["metrics-server-server"] = cluster.server("metrics-server", ("metrics-server.kube-system.svc", NODE_ADDRESS))
    pairs["kubelet-server"] = cluster.server(f"system:node:{NODE}", (NODE, NODE_ADDRESS, "127.0.0.1"))
    files = {f"{name}.crt": pair.certificate for name, pair in pairs.items()}
    files |= {f"{name}.key": pair.key for name, pair in pairs.items()}
    return files | service_account_files()


def service_account_files() -> dict[str, bytes]:
    """The key pair that signs and checks the tokens of service accounts."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"service-account.key": _key_pem(key), "service-account.pub": public}


def _name(common_name: str, groups: Sequence[str]) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALID)
    )


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
