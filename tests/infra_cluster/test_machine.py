"""What the cluster does to the machine: taken addresses are refused, cgroups come and go, leftovers are seen."""

import json
from pathlib import Path

import pytest

from holdfast.errors import Refused
from holdfast.infra.targets.cluster.local import cgroups
from holdfast.infra.targets.cluster.local.down import mounts
from holdfast.infra.targets.cluster.local.layout import CGROUP, LINK, RANGE, Layout
from holdfast.infra.targets.cluster.local.network import alias, link_owner, overlapping, refuse_overlap, refuse_second


def routes(*destinations: str) -> str:
    return json.dumps([{"dst": destination, "dev": "eth0"} for destination in destinations])


@pytest.mark.parametrize("destination", [RANGE, "10.213.7.0/24", "10.0.0.0/8", "10.213.255.1"])
def test_a_route_that_overlaps_the_clusters_addresses_is_refused_by_name(destination: str) -> None:
    with pytest.raises(Refused, match="in use") as refused:
        refuse_overlap(routes("default", destination))
    assert destination in refused.value.because


def test_other_routes_are_no_matter() -> None:
    assert overlapping(routes("default", "192.0.2.0/24", "10.212.0.0/16", "fd00::/64")) == []


def test_a_cluster_of_another_state_folder_is_named_and_not_joined() -> None:
    links = json.dumps([{"ifname": "lo"}, {"ifname": LINK, "ifalias": "/elsewhere/cluster"}])
    with pytest.raises(Refused, match="another cluster") as refused:
        refuse_second(links)
    assert "/elsewhere/cluster" in refused.value.because
    assert link_owner(json.dumps([{"ifname": "lo"}])) is None


def test_the_alias_of_a_link_fits_the_kernel_however_deep_the_folder_lies() -> None:
    assert len(alias(Path("/x" * 300)).encode()) <= 255
    assert alias(Path("/a/b")) == "/a/b"


def test_with_cgroup_v1_the_group_is_in_every_hierarchy_and_its_cpuset_is_usable(tmp_path: Path) -> None:
    for name in ("cpu", "cpuset", "memory", "unified"):
        (tmp_path / name).mkdir()
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpu,cpuacct").symlink_to("cpu")
    cgroups.make(tmp_path)
    assert [path.parent.name for path in cgroups.left(tmp_path)] == ["cpu", "cpuset", "memory", "unified"]
    assert (tmp_path / "cpuset" / CGROUP / "cpuset.cpus").read_text() == "0-1\n"


def test_with_cgroup_v2_there_is_one_group_with_the_controllers_that_limit_pods(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    cgroups.make(tmp_path)
    assert cgroups.left(tmp_path) == [tmp_path / CGROUP]
    assert (tmp_path / CGROUP / "cgroup.subtree_control").exists()


def test_cgroups_are_removed_with_all_below_them(tmp_path: Path) -> None:
    (tmp_path / "memory" / CGROUP / "kubepods" / "pod1").mkdir(parents=True)
    (tmp_path / "memory" / "another").mkdir()
    cgroups.remove(tmp_path)
    assert cgroups.left(tmp_path) == []
    assert (tmp_path / "memory" / "another").exists()


def test_a_cgroup_that_is_still_in_use_is_reported_not_ignored(tmp_path: Path) -> None:
    group = tmp_path / "memory" / CGROUP
    group.mkdir(parents=True)
    (group / "in-use").write_text("")  # a directory that cannot be removed, as one that holds a process
    cgroups.remove(tmp_path, timeout=0.1)
    assert cgroups.left(tmp_path) == [group]


def test_a_mount_below_the_state_folder_is_seen_and_a_neighbours_is_not() -> None:
    layout = Layout(Path("/var/x/cluster"))
    lines = [
        f"36 25 0:33 / {point} rw - tmpfs tmpfs rw" for point in ("/", "/var/x/cluster/varlib/a", "/var/x/cluster2")
    ]
    assert mounts("\n".join(lines), layout) == ["/var/x/cluster/varlib/a"]
