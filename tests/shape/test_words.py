"""No file holds a path of one machine, a registry's host name, a secret; the package puts nothing off."""

from pathlib import Path

import pytest
from shape.tree import REPOSITORY, plant
from shape.words import REGISTRY_HOSTS, violations


def test_the_repository_holds_no_forbidden_word() -> None:
    assert list(violations(REPOSITORY)) == []


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("docs/a.md", f"fetched from https://{REGISTRY_HOSTS[0]}/simple", "registry host"),
        ("tools/a.txt", f"GOPROXY={REGISTRY_HOSTS[2]}", "registry host"),
        ("chaos/a.yaml", "binary: /" + "root/.cache/envoy", "path of one machine"),
        ("holdfast/a.py", "# TO" + "DO: later", "work put off"),
        ("holdfast/b/c.py", "raise NotImplemented" + "Error", "work put off"),
        ("infra/key.pem", "-----BEGIN RSA PRIVATE KEY" + "-----", "secret"),
    ],
)
def test_a_planted_word_is_found(tmp_path: Path, name: str, text: str, what: str) -> None:
    found = list(violations(plant(tmp_path, {name: f"fine\n{text}\n"})))
    assert len(found) == 1
    assert found[0].startswith(f"{name}:2:")
    assert what in found[0]


def test_paths_inside_an_image_or_of_any_user_are_allowed(tmp_path: Path) -> None:
    assert list(violations(plant(tmp_path, {"a.sh": "cd ~/work/x $HOME/root/y\nCOPY network/home/ /app/\n"}))) == []
