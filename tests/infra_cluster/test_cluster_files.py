"""Configuration, arguments, objects and commands of the test cluster, compared with committed files."""

import shlex
from pathlib import Path

import yaml
from support.golden import assert_golden

from holdfast.infra.targets.cluster.local.components import all_components
from holdfast.infra.targets.cluster.local.configs import all_configs
from holdfast.infra.targets.cluster.local.kubeconfigs import kubeconfig
from holdfast.infra.targets.cluster.local.layout import API_URL, TAG, Layout
from holdfast.infra.targets.cluster.local.namespaces import mount_commands
from holdfast.infra.targets.cluster.local.network import host_commands, node_commands, route_commands
from holdfast.infra.targets.cluster.local.objects import all_objects
from holdfast.infra.targets.cluster.local.programs import TOOL_PROGRAMS
from holdfast.infra.targets.cluster.local.up import environment

GOLDEN = Path(__file__).with_name("golden")
PROGRAMS = {name: f"/run/tools/{tool}/{name}" for tool, names in TOOL_PROGRAMS.items() for name in names}


def as_lines(commands: list[list[str]]) -> str:
    return "".join(f"{shlex.join(command)}\n" for command in commands)


def test_the_components_configuration() -> None:
    text = "".join(f"==> {name} <==\n{content}" for name, content in all_configs().items())
    assert_golden(GOLDEN / "configs.txt", text)


def test_the_components_arguments() -> None:
    components = all_components({**PROGRAMS, "containerd": "/usr/bin/containerd"})
    text = "".join(
        f"{component.name} (stage {component.stage}, user {component.user})\n"
        + "".join(f"  {argument}\n" for argument in component.argv)
        for component in components
    )
    assert_golden(GOLDEN / "components.txt", text)


def test_the_objects_that_a_cluster_begins_with() -> None:
    assert_golden(GOLDEN / "objects.yaml", yaml.safe_dump_all(all_objects(b"(the authority)"), sort_keys=False))


def test_the_mounts_and_the_links() -> None:
    commands = mount_commands(Path("/state/cluster"), Path("/cache/tools"))
    commands += host_commands(4711, Path("/state/cluster")) + node_commands() + route_commands()
    assert_golden(GOLDEN / "commands.txt", as_lines(commands))


def test_a_kubeconfig_holds_all_that_a_client_needs() -> None:
    found = yaml.safe_load(kubeconfig(b"authority", b"certificate", b"key"))
    assert found["clusters"][0]["cluster"]["server"] == API_URL
    assert set(found["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    assert found["current-context"] == found["contexts"][0]["name"]


def test_every_process_carries_the_clusters_tag(tmp_path: Path) -> None:
    assert environment(Layout(tmp_path))[TAG] == str(tmp_path)
