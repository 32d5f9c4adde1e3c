"""Links served by a program of somebody's own: everything goes through it, and its death shows and is repaired."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support import relay
from support.stack import Sparkle, quick_stack, sparkle, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory, releases: Path) -> Iterator[Sparkle]:
    argv = [sys.executable, "-P", str(relay.__file__)]
    folder = tmp_path_factory.mktemp("relayed")
    with sparkle(folder, releases, stack=quick_stack(1), links_argv=argv) as stack:
        stack.desk().deploy("v1")
        yield stack


def passed(stack: Sparkle) -> dict[str, int]:
    """Bytes by link, as the relay wrote them down last."""
    time.sleep(0.25)  # it writes ten times a second
    found: dict[str, int] = json.loads((stack.home.state / "relay.json").read_text())
    return found


def stream(stack: Sparkle) -> int:
    return httpx.post(f"{stack.url}/v1/chat/stream", json={"message": "hello"}, timeout=10).status_code


def test_the_table_names_every_link_with_an_address_of_its_own(relayed: Sparkle) -> None:
    links = {link.name: link for link in relayed.target.provision.links().links}
    assert set(links) == {
        "client→edge",
        "gateway→engine#engine-blue-1",
        "gateway→engine#engine-green-1",
        "engine→postgres",
        "engine→redis",
        "gateway→redis",
    }
    assert all(link.listen != link.upstream for link in links.values())
    assert relayed.url == f"http://{links['client→edge'].listen}"


def test_all_traffic_of_each_link_passes_the_program_that_serves_it(relayed: Sparkle) -> None:
    before = passed(relayed)
    message = "x" * 5000
    assert relayed.chat(message).status_code == 200
    assert stream(relayed) == 200
    after = passed(relayed)
    grown = {name: after.get(name, 0) - before.get(name, 0) for name in after}
    live = relayed.live()["engine"]
    for name in ("client→edge", f"gateway→engine#engine-{live}-1"):
        assert grown[name] > len(message), grown
    for name in ("engine→postgres", "gateway→redis"):
        assert grown[name] > 0, grown
    assert grown.get(f"gateway→engine#engine-{'green' if live == 'blue' else 'blue'}-1", 0) == 0


def test_killing_the_program_shows_as_failures_until_it_is_started_again(relayed: Sparkle) -> None:
    restarts = relayed.units()["links"].restarts
    relayed.target.supervisor.signal(["links"], signal.SIGSTOP)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{relayed.url}/v1/whoami", timeout=0.5)
    relayed.target.kill("links")
    wait_until(lambda: relayed.units()["links"].restarts == restarts + 1, "it was started again")

    def serves() -> bool:
        try:
            return relayed.chat().status_code == 200
        except httpx.TransportError:
            return False

    wait_until(serves, "the stack serves again", 20)
    relayed.converged()


def test_a_release_moves_through_the_links(relayed: Sparkle) -> None:
    relayed.desk().deploy("v2", hold_s=0)
    relayed.converged()
    before = passed(relayed)
    assert relayed.chat("y" * 3000).status_code == 200
    after = passed(relayed)
    name = f"gateway→engine#engine-{relayed.live()['engine']}-1"
    assert after[name] - before.get(name, 0) > 3000


def test_links_stay_served_over_down_and_up(relayed: Sparkle) -> None:
    before = relayed.target.provision.links()
    relayed.target.down()
    relayed.target.up()
    assert relayed.target.provision.links() == before
    assert relayed.units()["links"].alive()
    relayed.converged()
