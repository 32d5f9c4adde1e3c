"""Drills by night: a CronJob with an account that may see and end this namespace's pods, and nothing beyond."""

from __future__ import annotations

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.model import Drills as Plan
from holdfast.infra.program.place import Place

RULES = [
    {"apiGroups": [""], "resources": ["pods", "services", "endpoints"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "create", "update", "patch"],
    },
    {
        "apiGroups": ["networking.k8s.io"],
        "resources": ["networkpolicies"],
        "verbs": ["get", "list", "create", "delete"],
    },
]


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """Account, role and CronJob."""
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": place.namespace}
    reference = {"apiGroup": rbac, "kind": "Role", "name": name}
    drill = m.container(
        "drill",
        plan.image,
        place,
        plan.resources,
        probe=None,
        command=plan.command,
        env={"HOLDFAST_ENVIRONMENT": place.environment, "HOME": "/tmp"},  # noqa: S108
        mounts={"/tmp": "tmp"},  # noqa: S108
    )
    template = m.pod(place, name, [drill], uid=plan.uid, volumes={"tmp": m.empty("1Gi")}, restart="Never", account=name)
    schedule, deadline = plan.schedule, plan.deadline_s
    return [
        m.thing("v1", "ServiceAccount", name, place, name, automountServiceAccountToken=False),
        m.thing(f"{rbac}/v1", "Role", name, place, name, rules=RULES),
        m.thing(f"{rbac}/v1", "RoleBinding", name, place, name, roleRef=reference, subjects=[subject]),
        m.cron_job(name, place, name, template, schedule=schedule, deadline_s=deadline, timezone=plan.timezone),
    ]


class Drills(Component):
    """Drills that run by themselves."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:Drills", name, place, manifests(name, plan, place), opts)
