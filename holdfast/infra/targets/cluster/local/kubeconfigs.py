"""kubeconfig files: the address of the API server and who the caller is, with the certificates in the file."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import yaml

from holdfast.infra.targets.cluster.local.layout import API_URL


def kubeconfig(authority: bytes, certificate: bytes, key: bytes) -> str:
    """One cluster, one user, one context, all named `holdfast`; usable on the host and inside."""
    cluster = {"server": API_URL, "certificate-authority-data": _text(authority)}
    user = {"client-certificate-data": _text(certificate), "client-key-data": _text(key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "holdfast", "cluster": cluster}],
        "users": [{"name": "holdfast", "user": user}],
        "contexts": [{"name": "holdfast", "context": {"cluster": "holdfast", "user": "holdfast"}}],
        "current-context": "holdfast",
    }
    return yaml.safe_dump(document, sort_keys=False)


def kubeconfig_of(name: str, pki: Mapping[str, bytes]) -> str:
    """The kubeconfig of the client certificate `name`."""
    return kubeconfig(pki["ca.crt"], pki[f"{name}.crt"], pki[f"{name}.key"])


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
