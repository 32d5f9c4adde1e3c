"""Any stack that can be written down makes objects that keep the rules: every check, every name, every closed door."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cluster_plan import ENVIRONMENTS, both_colors

from holdfast.infra.policy import checks
from holdfast.infra.program import network
from holdfast.infra.program.assembly import manifests, sealed_names
from holdfast.infra.program.manifest import Manifest
from holdfast.infra.program.model import RESERVED, EnvironmentName
from holdfast.infra.stack import Stack, parse_stack

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(lambda name: name not in RESERVED)
QUANTITIES = st.sampled_from(["50m", "250m", "1", "2"])
SIZES = st.sampled_from(["64Mi", "256Mi", "1Gi"])
RESOURCES = st.fixed_dictionaries({"cpu": QUANTITIES, "memory": SIZES}, optional={"cpu_limit": st.just("4")})
PARTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "postgres": st.fixed_dictionaries(
        {"mode": st.sampled_from(["statefulset", "operator", "external"]), "replicas": st.integers(0, 3)},
        optional={"backup": st.none(), "resources": RESOURCES},
    ),
    "redis": st.fixed_dictionaries(
        {"mode": st.sampled_from(["single", "replicated", "sentinel", "cluster"]), "replicas": st.integers(1, 2)}
    ),
    "rabbitmq": st.fixed_dictionaries({"queues": st.dictionaries(NAMES, st.just({"routing": "a.*"}), max_size=2)}),
    "mongodb": st.fixed_dictionaries({"priorities": st.lists(st.integers(0, 2), min_size=1, max_size=3)}),
    "minio": st.fixed_dictionaries({"replicas": st.integers(1, 4), "buckets": st.lists(NAMES, max_size=2)}),
    "consul": st.fixed_dictionaries({"keys": st.dictionaries(NAMES, NAMES, max_size=2)}),
    "elasticsearch": st.fixed_dictionaries({"replicas": st.integers(1, 3)}, optional={"kibana": st.just("kibana:8")}),
    "monitoring": st.just({}),
    "jaeger": st.just({}),
    "influxdb": st.just({}),
    "neo4j": st.just({}),
    "milvus": st.just({}),
}


@st.composite
def stacks(draw: st.DrawFn) -> Stack:
    """A stack with random services, parts, links and sizes."""
    services = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    kinds = draw(st.lists(st.sampled_from(sorted(PARTS)), max_size=4, unique=True))
    parts = {f"part-{kind}": {"kind": kind, **draw(PARTS[kind])} for kind in kinds}
    linked = draw(st.lists(st.tuples(st.sampled_from(services), st.sampled_from([*services, *parts])), max_size=5))
    plans = {name: draw(_plan()) for name in services}
    return parse_stack(
        {
            "name": draw(NAMES),
            "services_from": "",
            "stores": {},
            "edge": {"service": services[0]},
            "services": {
                name: {"protocol": draw(st.sampled_from(["http", "grpc"])), "authority": f"{name}.internal"}
                for name in services
            },
            "links": {f"{one}→{other}": {"from": one, "to": other} for one, other in linked if one != other},
            "release": {"gate": "smoke", "watch": "watch"},
            "cluster": {
                "owner": draw(NAMES),
                "only": True,
                "services": plans,
                "parts": parts,
                "edge": draw(st.sampled_from([None, {}])),
                "sandboxes": {"sandbox": {"image": "tools:1", "clients": services[:1], "allow": ["10.0.0.0/8:443"]}},
                "tenants": draw(st.dictionaries(NAMES, st.just({"sandboxes": ["sandbox"]}), max_size=2)),
                "environments": {"dev": {"size": "one"}, "staging": {}, "prod": {"quota": {}}},
            },
        },
        "random.yaml",
    )


@st.composite
def _plan(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "image": f"{draw(NAMES)}:{{version}}",
        "resources": draw(RESOURCES),
        "prestop_s": draw(st.integers(5, 30)),
        "autoscale": draw(st.sampled_from([None, {"least": 1, "most": 9}])),
        "secrets": draw(st.lists(NAMES, max_size=2, unique=True)),
        "socket": draw(st.sampled_from(["", "/run/here/it.sock"])),
        "companions": draw(st.sampled_from([{}, {"beside": {"image": "beside:1"}}])),
    }


def of(stack: Stack, environment: EnvironmentName) -> list[Manifest]:
    return manifests(stack, environment, both_colors(stack))["primary"]


quick = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(stacks(), st.sampled_from(ENVIRONMENTS))
def test_any_stack_keeps_the_policy(stack: Stack, environment: EnvironmentName) -> None:
    assert list(checks.violations(of(stack, environment))) == []


@quick
@given(stacks())
def test_every_volume_and_every_key_that_a_pod_names_is_there(stack: Stack) -> None:
    made = of(stack, "staging")
    held = {
        (entry["kind"], entry["metadata"].get("namespace"), entry["metadata"]["name"]): {*(entry.get("data") or {})}
        for entry in made
    }
    for entry in made:
        pod = (entry.get("spec") or {}).get("template", {}).get("spec")
        if pod is None:
            continue
        space = entry["metadata"]["namespace"]
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in entry["spec"].get("volumeClaimTemplates", [])}
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            assert len(paths) == len({*paths})
            for variable in container.get("env", []):
                if key := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert key["key"] in held["Secret", space, key["name"]]


@quick
@given(stacks())
def test_every_service_leads_to_pods_that_listen_there(stack: Stack) -> None:
    made = of(stack, "staging")
    pods = [
        (entry["metadata"]["namespace"], entry["spec"]["template"])
        for entry in made
        if entry["kind"] in ("Deployment", "StatefulSet")
    ]
    for entry in made:
        if entry["kind"] != "Service":
            continue
        selector = {k: v for k, v in entry["spec"]["selector"].items() if k != "apps.kubernetes.io/pod-index"}
        chosen = [
            template
            for space, template in pods
            if space == entry["metadata"]["namespace"] and selector.items() <= template["metadata"]["labels"].items()
        ]
        assert chosen, f"{entry['metadata']['name']} leads nowhere"


@quick
@given(stacks())
def test_what_is_linked_is_open_and_nothing_else_is(stack: Stack) -> None:
    opened = network.flows(stack)
    made = {entry["metadata"]["name"]: entry for entry in of(stack, "staging") if entry["kind"] == "NetworkPolicy"}
    assert made["closed"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for source, to in opened:
        if to in made and source in made and to != "sandbox":
            names = [
                end["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
                for rule in made[to]["spec"]["ingress"]
                for end in rule["from"]
                if "podSelector" in end
            ]
            assert source in names
            assert {name for name in names if name != to} <= {one for one, other in opened if other == to}


@quick
@given(stacks())
def test_a_secret_has_one_name_whatever_needs_it(stack: Stack) -> None:
    names = sealed_names(manifests(stack, "staging", both_colors(stack)))
    assert names == sealed_names(manifests(stack, "prod", both_colors(stack)))
