"""A service in two colors: a Deployment, an immutable ConfigMap and Secret, an autoscaler and a budget for each.

The Service NAME leads to the live color by a selector that only a release writes; NAME-blue and NAME-green lead to one
color and never change; NAME-all to both. The colors differ in what policy/colors.py allows, and in nothing else.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.connections import Connections
from holdfast.infra.program.desired import ColorState, Desired
from holdfast.infra.program.model import ServicePlan
from holdfast.infra.program.monitoring import SCRAPE
from holdfast.infra.program.place import Place, cluster_of
from holdfast.infra.stack import COLORS, Color, Service, Stack

COLOR = "holdfast/color"
VERSION = "app.kubernetes.io/version"
CONFIG = "/etc/holdfast"
PLACEHOLDER = re.compile(r"\{([a-z_]+)(?::([^}]+))?\}")


def ports(service: Service, plan: ServicePlan) -> dict[str, int]:
    """The ports of a service's pods."""
    return {service.protocol: plan.port, **({"admin": plan.admin_port} if service.admin else {})}


def manifests(name: str, stack: Stack, place: Place, desired: Desired, connections: Connections) -> list[m.Manifest]:
    """All objects of a service: what both colors share, and each color that should exist."""
    states = desired.colors.get(name, {})
    colors = [
        made
        for color in COLORS
        if color in states
        for made in color_manifests(name, color, stack, place, states[color], connections)
    ]
    return [*shared_manifests(name, stack, place, desired.live(name)), *colors]


def shared_manifests(name: str, stack: Stack, place: Place, live: Color) -> list[m.Manifest]:
    """The account, and the Services: the live color's, one for each color, one for all pods."""
    reached = ports(stack.services[name], cluster_of(stack).services[name])
    nobody = {m.SKIP_AWAIT: "true"}  # a color without pods is no error
    owned = {m.RELEASE_OWNS: "spec.selector", **nobody}
    return [
        m.thing("v1", "ServiceAccount", name, place, name, automountServiceAccountToken=False),
        m.service(name, place, name, reached, selector={COLOR: live}, annotations=owned),
        m.service(f"{name}-all", place, name, reached, annotations=nobody),
        *(
            m.service(
                f"{name}-{color}", place, name, reached, selector={COLOR: color}, headless=True, annotations=nobody
            )
            for color in COLORS
        ),
    ]


def color_manifests(
    name: str, color: Color, stack: Stack, place: Place, state: ColorState, connections: Connections
) -> list[m.Manifest]:
    """The objects of one color: ConfigMap, Secret, Deployment, budget, and an autoscaler where the plan has one."""
    plan, labels = cluster_of(stack).services[name], {COLOR: color}
    values, sealed = _values(name, color, stack, place, state, connections)
    text = json.dumps(state.config or plan.config, indent=1, sort_keys=True)
    config = m.config_map(f"{name}-{color}", place, name, {"config.json": text})
    secret = m.secret(f"{name}-{color}", place, name, sealed) if sealed else None
    for made in (config, secret):
        if made:
            made["metadata"]["labels"] |= labels
    drawn = {key: m.FromSecret(secret=m.name_of(secret), key=key) for key in sealed} if secret else {}
    env: dict[str, m.Value] = {"POD_NAME": m.FromField(path="metadata.name"), **values, **drawn}
    scaled = plan.autoscale and not place.one
    deployment = m.deployment(
        f"{name}-{color}",
        place,
        name,
        _pod(name, color, stack, place, state, env, config),
        replicas=state.replicas if not place.one else min(1, state.replicas),
        labels=labels,
        annotations={m.RELEASE_OWNS: "spec.replicas", m.SKIP_AWAIT: "true"},  # a release waits for it, and says why not
    )
    budget = m.disruption_budget(f"{name}-{color}", place, name, labels)
    return [
        config,
        *([secret] if secret else []),
        deployment,
        budget,
        *([_autoscaler(name, color, plan, place)] if scaled else []),
    ]


def image_of(name: str, stack: Stack, state: ColorState) -> str:
    """The image of a color."""
    cluster = cluster_of(stack)
    template = state.image or cluster.services[name].image or cluster.image
    return template.replace("{version}", state.version)


def _pod(
    name: str,
    color: Color,
    stack: Stack,
    place: Place,
    state: ColorState,
    env: dict[str, m.Value],
    config: m.Manifest,
) -> dict[str, Any]:
    service, plan = stack.services[name], cluster_of(stack).services[name]
    probed = plan.admin_port if service.admin else plan.port
    socket = {plan.socket.rpartition("/")[0]: "socket"} if plan.socket else {}
    writable = {folder: f"writable-{number}" for number, folder in enumerate(plan.writable)}
    main = m.container(
        name,
        image_of(name, stack, state),
        place,
        plan.resources,
        probe=m.http(plan.ready or service.ready.path, probed),
        live=m.http(plan.live, probed),
        command=state.command or plan.command,
        env=env,
        ports=ports(service, plan),
        mounts={CONFIG: "config", **socket, **writable},
        prestop_s=plan.prestop_s,
    )
    beside = [
        m.container(
            key,
            companion.image,
            place,
            companion.resources,
            probe=m.execute("/bin/sh", "-c", f"test -S {plan.socket}"),
            command=companion.command,
            env=companion.env,
            mounts=socket,
            prestop_s=plan.prestop_s,
        )
        for key, companion in plan.companions.items()
    ]
    folders = [*writable.values(), *socket.values()]
    volumes = {"config": m.from_config(config), **{volume: m.empty() for volume in folders}}
    labels = {COLOR: color, VERSION: state.version, SCRAPE: str(probed)}
    grace = plan.prestop_s + plan.longest_s + m.GRACE_MARGIN_S
    made = m.pod(place, name, [main, *beside], uid=plan.uid, volumes=volumes, grace_s=grace, labels=labels)
    made["spec"]["serviceAccountName"] = name
    for spread in made["spec"]["topologySpreadConstraints"]:
        spread["labelSelector"] = {"matchLabels": {**place.selector(name), COLOR: color}}
    return made


def _autoscaler(name: str, color: Color, plan: ServicePlan, place: Place) -> m.Manifest:
    """Grows at once, shrinks after 5 min; a release freezes its bounds while it switches."""
    scale = plan.autoscale
    assert scale is not None  # noqa: S101 - the caller asked
    target = {"type": "Utilization", "averageUtilization": scale.cpu_percent}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{name}-{color}"},
        "minReplicas": scale.least,
        "maxReplicas": scale.most,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}, "scaleDown": {"stabilizationWindowSeconds": 300}},
    }
    owned = {m.RELEASE_OWNS: "spec.minReplicas,spec.maxReplicas", m.SKIP_AWAIT: "true"}
    made = m.thing(
        "autoscaling/v2", "HorizontalPodAutoscaler", f"{name}-{color}", place, name, annotations=owned, spec=spec
    )
    made["metadata"]["labels"] |= {COLOR: color}
    return made


def _values(
    name: str, color: Color, stack: Stack, place: Place, state: ColorState, connections: Connections
) -> tuple[dict[str, str], dict[str, m.Sealed]]:
    """The service's environment, plain and sealed: a value that holds a store's URL is sealed as a whole."""
    plan = cluster_of(stack).services[name]
    words = {
        "host": "0.0.0.0",  # noqa: S104 - in its pod
        "port": str(plan.port),
        "admin_port": str(plan.admin_port),
        "color": color,
        "version": state.version,
        "instance": "$(POD_NAME)",
        "config": f"{CONFIG}/config.json",
        "socket": plan.socket,
        "namespace": place.namespace,
        "region": place.region,
        "environment": place.environment,
    }
    plain: dict[str, str] = {}
    sealed = {key.upper().replace("-", "_"): m.Sealed(key=f"{name}-{key}") for key in plan.secrets}
    for key, text in stack.services[name].env.items():
        value = _filled(text, words, connections)
        if isinstance(value, m.Sealed):
            sealed[key] = value
        else:
            plain[key] = value
    return plain, sealed


def _filled(text: str, words: dict[str, str], connections: Connections) -> str | m.Sealed:
    """Fill {port}, {link:NAME}, {postgres:LINK}… in. At most one of them is sealed."""
    found: list[m.Sealed] = []

    def value(match: re.Match[str]) -> str:
        word, link = match[1], match[2]
        if link is None:
            return words[word]
        made = connections.address(link) if word == "link" else connections.url(link)
        if isinstance(made, m.Sealed):
            found.append(made)
            return made.form
        return made

    filled = PLACEHOLDER.sub(value, text)
    return m.Sealed(key=found[0].key, form=filled) if found else filled


class ColoredService(Component):
    """A service in two colors."""

    def __init__(
        self,
        name: str,
        stack: Stack,
        place: Place,
        desired: Desired,
        connections: Connections,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        made = manifests(name, stack, place, desired, connections)
        super().__init__("holdfast:infra:ColoredService", name, place, made, opts)
