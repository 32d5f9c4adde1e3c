"""Where Pulumi keeps state and secrets for a stack: under the home by default, anywhere that Pulumi knows by URL."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from holdfast.infra.home import Home
from holdfast.infra.program.desired import Desired
from holdfast.infra.program.model import EnvironmentName
from holdfast.infra.targets.local.secrets import kept_secrets

PROJECT = "holdfast"
PASSPHRASE = "passphrase"  # noqa: S105 - the name of a kind


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a stack's half on a cluster is managed.

    `backend`: any URL that `pulumi login` takes; empty: files under the home. `secrets_provider`: "passphrase" (kept in
    the home, readable by its owner alone) or any URL that Pulumi takes (awskms://, gcpkms://, hashivault://…).
    `wait`: whether an `up` waits until everything is ready; Pulumi itself never does. `desired`: which colors should
    exist; None: where a stack begins.
    `kubeconfig`: a path, or several as KUBECONFIG has them; empty: KUBECONFIG, else ~/.kube/config. `plugins`: a
    folder to look for plugins in first.
    """

    environment: EnvironmentName = "dev"
    backend: str = ""
    secrets_provider: str = PASSPHRASE
    kubeconfig: str = ""
    wait: bool = True
    desired: Desired | None = None
    plugins: str = ""


def folder(home: Home) -> Path:
    """Pulumi's folder in the home: its workspace, and its state where the backend is files."""
    return home.root / "pulumi"


def backend_url(settings: Settings, home: Home) -> str:
    """The backend's URL."""
    if settings.backend:
        return settings.backend
    state = folder(home) / "state"
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return f"file://{state}"


def environment(settings: Settings, home: Home) -> dict[str, str]:
    """What Pulumi's processes find in their environment, beside ours: nothing is fetched or asked without need."""
    found = {
        "PULUMI_BACKEND_URL": backend_url(settings, home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        "NO_COLOR": "1",
    }
    if settings.kubeconfig:
        found["KUBECONFIG"] = os.pathsep.join(str(Path(path).resolve()) for path in _paths(settings.kubeconfig))
    if settings.plugins:
        found["PATH"] = os.pathsep.join([settings.plugins, os.environ.get("PATH", "")])
        found["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    if settings.secrets_provider == PASSPHRASE and not os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        found["PULUMI_CONFIG_PASSPHRASE"] = os.environ.get("PULUMI_CONFIG_PASSPHRASE") or passphrase(home)
    return found


def _paths(kubeconfig: str) -> list[str]:
    """KUBECONFIG may name several files."""
    return [path for path in kubeconfig.split(os.pathsep) if path]


def passphrase(home: Home) -> str:
    """The passphrase of the stack's secrets; made once."""
    path = folder(home) / "passphrase.json"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return kept_secrets(path, [PASSPHRASE])[PASSPHRASE].reveal()
