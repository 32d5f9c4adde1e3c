"""The cluster's certificates say who a component is, are signed by the right authority, and no other."""

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast.infra.targets.cluster.local.certificates import CLIENTS, all_files
from holdfast.infra.targets.cluster.local.layout import API_SERVICE, NODE, NODE_ADDRESS


@pytest.fixture(scope="module")
def pki() -> dict[str, bytes]:
    return all_files()


def certificate(pki: dict[str, bytes], name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pki[f"{name}.crt"])


def said(subject: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in subject.get_attributes_for_oid(oid)]


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_a_client_certificate_names_the_user_and_its_groups(pki: dict[str, bytes], name: str) -> None:
    found = certificate(pki, name)
    assert said(found.subject, NameOID.COMMON_NAME) == [CLIENTS[name].user]
    assert said(found.subject, NameOID.ORGANIZATION_NAME) == list(CLIENTS[name].groups)
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


@pytest.mark.parametrize("name", [*CLIENTS, "kube-apiserver", "kubelet-server", "metrics-server-server"])
def test_the_clusters_authority_signed_it_and_the_front_proxys_did_not(pki: dict[str, bytes], name: str) -> None:
    found = certificate(pki, name)
    found.verify_directly_issued_by(certificate(pki, "ca"))
    with pytest.raises((ValueError, InvalidSignature)):
        found.verify_directly_issued_by(certificate(pki, "front-proxy-ca"))


def test_the_front_proxy_is_signed_by_an_authority_of_its_own(pki: dict[str, bytes]) -> None:
    certificate(pki, "front-proxy").verify_directly_issued_by(certificate(pki, "front-proxy-ca"))


def test_the_api_server_is_known_by_its_names_and_addresses(pki: dict[str, bytes]) -> None:
    names = certificate(pki, "kube-apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert {API_SERVICE, NODE_ADDRESS, "127.0.0.1"} <= addresses


def test_the_kubelet_is_a_node_of_the_group_that_the_node_authorizer_knows(pki: dict[str, bytes]) -> None:
    subject = certificate(pki, "kubelet").subject
    assert said(subject, NameOID.COMMON_NAME) == [f"system:node:{NODE}"]
    assert said(subject, NameOID.ORGANIZATION_NAME) == ["system:nodes"]
