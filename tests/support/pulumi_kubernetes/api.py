"""A Kubernetes API server, as far as the stand-in needs it: find a kind's path, get, apply, delete."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any

import httpx
import yaml

MANAGER = "pulumi-kubernetes"


class ApiError(Exception):
    """What the API server answered when it refused."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """One API server, by a context of a kubeconfig (a path or its content)."""

    def __init__(self, kubeconfig: str = "", context: str = "") -> None:
        config = _read(kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube/config"))
        chosen = _named(config["contexts"], context or config["current-context"])["context"]
        cluster = _named(config["clusters"], chosen["cluster"])["cluster"]
        user = _named(config["users"], chosen["user"])["user"]
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._http = httpx.AsyncClient(
            base_url=cluster["server"], verify=_tls(cluster, user), headers=headers, timeout=60, trust_env=False
        )
        self._paths: dict[tuple[str, str], tuple[str, bool]] = {}
        self._finding = asyncio.Lock()

    async def get(self, manifest: dict[str, Any]) -> dict[str, Any] | None:
        """The object as it is; None when there is none."""
        try:
            return await self._ask("GET", await self.path(manifest))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def apply(self, manifest: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Server-side apply, without force: who else owns a field is named in the error."""
        query = {"fieldManager": MANAGER, **({"dryRun": "All"} if dry_run else {})}
        return await self._ask(
            "PATCH", await self.path(manifest), params=query, json=manifest, content_type="application/apply-patch+yaml"
        )

    async def delete(self, manifest: dict[str, Any]) -> bool:
        """Ask for the end of an object and of what it owns; False when there is none."""
        body = {"propagationPolicy": "Background"}
        try:
            await self._ask("DELETE", await self.path(manifest), json=body)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def path(self, manifest: dict[str, Any]) -> str:
        """The path of an object. Raises ApiError for a kind that the API server does not know."""
        api, kind = manifest["apiVersion"], manifest["kind"]
        if (api, kind) not in self._paths:
            async with self._finding:
                await self._discover(api)
        if (api, kind) not in self._paths:
            raise ApiError(404, f"no matches for kind {kind} in version {api}: is its resource definition installed?")
        plural, namespaced = self._paths[api, kind]
        metadata = manifest["metadata"]
        space = f"/namespaces/{metadata.get('namespace', 'default')}" if namespaced else ""
        return f"{_root(api)}{space}/{plural}/{metadata['name']}"

    async def _discover(self, api: str) -> None:
        try:
            found = await self._ask("GET", _root(api))
        except ApiError as error:
            if error.status == 404:
                return
            raise
        for entry in found["resources"]:
            if "/" not in entry["name"]:
                self._paths[api, entry["kind"]] = (entry["name"], entry["namespaced"])

    async def _ask(
        self, method: str, path: str, *, content_type: str = "application/json", **options: Any
    ) -> dict[str, Any]:
        answer = await self._http.request(method, path, headers={"Content-Type": content_type}, **options)
        if answer.is_success:
            return dict(answer.json())
        try:
            text = answer.json()["message"]
        except (ValueError, KeyError):
            text = answer.text
        raise ApiError(answer.status_code, text)


def _root(api: str) -> str:
    return f"/apis/{api}" if "/" in api else f"/api/{api}"


def _read(kubeconfig: str) -> dict[str, Any]:
    text = kubeconfig if "\n" in kubeconfig else Path(kubeconfig).read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext | bool:
    if not cluster["server"].startswith("https"):
        return False
    context = ssl.create_default_context(cafile=_file(cluster, "certificate-authority"))
    certificate, key = _file(user, "client-certificate"), _file(user, "client-key")
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def _file(entry: dict[str, Any], key: str) -> str | None:
    """The path of a certificate or key; content that is written into the kubeconfig becomes a private file."""
    if f"{key}-data" not in entry:
        return entry.get(key)
    handle, name = tempfile.mkstemp(prefix="stand-in-")
    with os.fdopen(handle, "wb") as file:
        file.write(base64.b64decode(entry[f"{key}-data"]))
    return name
