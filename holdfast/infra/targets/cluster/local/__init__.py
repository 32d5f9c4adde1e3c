"""A whole Kubernetes on this machine, for tests: `scripts/cluster up`. One node, own namespaces, nothing left after.

Everything runs below one process (`init`) in namespaces of its own (mount, pid, network). To end that process ends
every other one, container or not, and takes mounts, links and packet rules with it; only cgroup folders, the state
folder and the host's end of the link are removed by hand.
"""
