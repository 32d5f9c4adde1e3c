"""OCI archives (image-spec v1: image layout in a tar file), written without any tool of a container engine."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from holdfast.infra.images.layer import EPOCH, Layer

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""uname's names to the image specification's."""
CREATED = "2025-01-01T00:00:00Z"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def image_config(layers: Sequence[Layer], config: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """The configuration document. `config`: User, Env, Entrypoint, Cmd, WorkingDir, Labels."""
    return {
        "created": CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        "history": [{"created": CREATED, "created_by": "holdfast"} for _ in layers],
    }


def write_archive(path: Path, name: str, layers: Sequence[Layer], config: Mapping[str, Any]) -> str:
    """Write the archive of one image called `name`; returns the digest of its manifest.

    The same layers and configuration give the same bytes. The file appears whole or not at all.
    """
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    config_blob = encode(image_config(layers, config, architecture))
    manifest_blob = encode(_manifest(layers, config_blob))
    index_blob = encode(_index(name, manifest_blob, architecture))
    work = path.with_name(f".{path.name}.{os.getpid()}")
    with tarfile.open(work, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        _add_bytes(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add_bytes(tar, "index.json", index_blob)
        for blob in (manifest_blob, config_blob):
            _add_bytes(tar, _blob_path(digest(blob)), blob)
        for layer in {layer.digest: layer for layer in layers}.values():
            info = _entry(_blob_path(layer.digest), layer.size)
            with layer.path.open("rb") as file:
                tar.addfile(info, file)
    work.rename(path)
    return digest(manifest_blob)


def digest(data: bytes) -> str:
    """sha256:…"""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def encode(document: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys, so that equal documents are equal bytes."""
    return msgspec.json.encode(document, order="sorted")


def _manifest(layers: Sequence[Layer], config_blob: bytes) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(CONFIG, digest(config_blob), len(config_blob)),
        "layers": [_descriptor(LAYER, layer.digest, layer.size) for layer in layers],
    }


def _index(name: str, manifest_blob: bytes, architecture: str) -> dict[str, Any]:
    entry = _descriptor(MANIFEST, digest(manifest_blob), len(manifest_blob)) | {
        "platform": {"architecture": architecture, "os": "linux"},
        "annotations": {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rpartition(":")[2],
        },
    }
    return {"schemaVersion": 2, "manifests": [entry]}


def _descriptor(media_type: str, of: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": of, "size": size}


def _blob_path(of: str) -> str:
    return f"blobs/{of.replace(':', '/')}"


def _entry(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, EPOCH, 0o644
    return info


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    tar.addfile(_entry(name, len(data)), io.BytesIO(data))
