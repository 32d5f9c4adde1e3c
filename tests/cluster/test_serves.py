"""A cluster of our own does what clusters do: pods from the image, names, metrics, volumes, a selector that moves."""

import json
import time

import httpx
import pytest
from support.kubernetes import Cluster, Object, deployment, gateway, service, until


@pytest.fixture
def colors(cluster: Cluster, image: str) -> str:
    """A blue and a green gateway behind one Service that selects blue; the Service's URL, reachable from the host."""
    for color in ("blue", "green"):
        cluster.apply(gateway(color, image, color=color, replicas=1))
    cluster.apply(service("gateway", {"app": "gateway", "color": "blue"}))
    for color in ("blue", "green"):
        cluster.wait_ready(color)
    address = cluster.get("service", "gateway")["spec"]["clusterIP"]
    return f"http://{address}:8080/v1/whoami"


def color_of(url: str) -> str:
    """Who answers a request on a connection of its own."""
    answer = httpx.get(url, timeout=5, trust_env=False)
    assert answer.status_code == 200
    return str(answer.json()["color"])


def test_two_replicas_of_the_image_become_ready_without_a_registry(cluster: Cluster, image: str) -> None:
    assert "@sha256:" in image
    cluster.apply(gateway("gateway", image))
    cluster.wait_ready("gateway")
    pods = cluster.get("pods", "--selector=app=gateway")["items"]
    assert len(pods) == 2
    for pod in pods:
        answer = httpx.get(f"http://{pod['status']['podIP']}:8080/v1/whoami", timeout=5, trust_env=False)
        assert answer.json()["instance"] == pod["metadata"]["name"]


def test_the_image_runs_the_stores_of_the_wheels_as_an_ordinary_user(cluster: Cluster, image: str) -> None:
    cluster.apply(gateway("gateway", image, replicas=1))
    cluster.wait_ready("gateway")

    def said(*argv: str) -> str:
        return cluster.kubectl("exec", "deployment/gateway", "--", *argv)

    assert said("id", "-u").strip() == "10001"
    assert "PostgreSQL) 18" in said("postgres", "--version")
    assert "Redis server" in said("redis-server", "--version")
    assert "envoy" in said("envoy", "--version")
    assert cluster.try_kubectl("exec", "deployment/gateway", "--", "touch", "/opt/x").returncode != 0


def test_postgresql_and_redis_of_the_image_serve_with_a_read_only_root(cluster: Cluster, image: str) -> None:
    make = "initdb -D /data/pg -U holdfast --auth=trust --no-sync >/dev/null && exec postgres -D /data/pg -k ''"
    ping = "import redis; redis.Redis().ping()"
    containers = [
        part(
            "postgres",
            image,
            ["sh", "-c", make],
            ["psql", "-h", "127.0.0.1", "-U", "holdfast", "-c", "SELECT 1", "postgres"],
        ),
        part("redis", image, ["redis-server", "--dir", "/data", "--save", ""], ["python", "-c", ping]),
    ]
    stores = deployment("stores", {"app": "stores"}, containers[0], 1)
    pod = stores["spec"]["template"]["spec"]
    pod["containers"], pod["volumes"] = containers, [{"name": "data", "emptyDir": {}}]
    cluster.apply(stores)
    cluster.wait_ready("stores", 90)


def part(name: str, image: str, command: list[str], ready: list[str]) -> Object:
    """A container that writes to /data and /tmp only."""
    places = {"/data": "data", "/tmp": f"tmp-{name}"}  # noqa: S108 - in the pod
    mounts = [{"name": "data", "mountPath": at, "subPath": folder} for at, folder in places.items()]
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "Never",
        "command": command,
        "readinessProbe": {"exec": {"command": ready}, "periodSeconds": 1, "timeoutSeconds": 5},
        "securityContext": {"runAsNonRoot": True, "readOnlyRootFilesystem": True},
        "volumeMounts": mounts,
    }


def test_pods_find_a_service_by_its_name_and_learn_at_once_that_a_name_is_none(cluster: Cluster, image: str) -> None:
    cluster.apply(gateway("gateway", image, replicas=1), service("gateway", {"app": "gateway"}))
    cluster.wait_ready("gateway")
    address = cluster.get("service", "gateway")["spec"]["clusterIP"]
    resolve = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"

    def lookup(name: str) -> str:
        return cluster.try_kubectl("exec", "deployment/gateway", "--", "python", "-c", resolve, name).stdout.strip()

    for name in ("gateway", f"gateway.{cluster.namespace}", f"gateway.{cluster.namespace}.svc.cluster.local"):
        until(lambda name=name: lookup(name) == address, f"{name} is {address}", 15)  # type: ignore[misc]
    begin = time.monotonic()
    assert lookup("no-such-name.example.org") == ""
    assert time.monotonic() - begin < 5


def test_a_pod_reaches_itself_and_its_peers_through_a_service(cluster: Cluster, image: str) -> None:
    cluster.apply(gateway("gateway", image), service("gateway", {"app": "gateway"}))
    cluster.wait_ready("gateway")
    ask = (
        "import json, urllib.request as u; url = 'http://gateway:8080/v1/whoami'; "
        "print(json.dumps([json.load(u.urlopen(url, timeout=3))['instance'] for _ in range(40)]))"
    )
    pods = {pod["metadata"]["name"] for pod in cluster.get("pods")["items"]}

    def answered() -> set[str]:
        done = cluster.try_kubectl("exec", "deployment/gateway", "--", "python", "-c", ask)
        return set(json.loads(done.stdout)) if done.returncode == 0 else set()

    until(lambda: answered() == pods, "both answer, the asking one too", 10)


def test_a_selector_patch_moves_new_connections_and_loses_none(cluster: Cluster, colors: str) -> None:
    assert {color_of(colors) for _ in range(20)} == {"blue"}
    patch = json.dumps({"spec": {"selector": {"color": "green"}}})
    cluster.kubectl("patch", "service", "gateway", f"--patch={patch}")
    returned = time.monotonic()
    last_blue, answers = 0.0, 0
    while time.monotonic() - returned < 3:
        begin = time.monotonic() - returned
        answers += 1
        if color_of(colors) == "blue":
            last_blue = begin
    assert answers > 50
    assert last_blue < 1.5, "kube-proxy syncs once a second at most"
    assert color_of(colors) == "green"


def test_the_metrics_server_answers_kubectl_top(cluster: Cluster, image: str) -> None:
    cluster.apply(gateway("gateway", image, replicas=1))
    cluster.wait_ready("gateway")

    def known() -> bool:
        pods = cluster.try_kubectl("top", "pods", "--no-headers")
        return cluster.try_kubectl("top", "nodes").returncode == 0 and "Mi" in pods.stdout

    until(known, "kubectl top knows the node and the pod", 90)


def test_a_claim_gets_a_volume_that_the_images_user_can_write_and_that_goes_with_it(
    cluster: Cluster, image: str
) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    container = {
        "name": "writer",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", "import time; open('/data/written', 'w').write('yes'); time.sleep(600)"],
        "readinessProbe": {"exec": {"command": ["cat", "/data/written"]}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    writer = deployment("writer", {"app": "writer"}, container, 1)
    writer["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    cluster.apply(claim, writer)
    cluster.wait_ready("writer", 90)
    volume = cluster.get("pvc", "data")["spec"]["volumeName"]
    cluster.kubectl("delete", "deployment/writer", "pvc/data", timeout=90)
    until(lambda: cluster.try_kubectl("get", "pv", volume).returncode != 0, f"{volume} is gone", 60)


def test_logs_of_a_pod_can_be_read(cluster: Cluster, image: str) -> None:
    cluster.apply(gateway("gateway", image, replicas=1))
    cluster.wait_ready("gateway")
    assert "8080" in cluster.kubectl("logs", "deployment/gateway")
