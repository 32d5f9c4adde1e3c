"""Releases: the same content has the same digest, nothing can be changed afterwards, and errors name what is known."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.stack import ROOT, refusal

from holdfast.errors import UsageError
from holdfast.infra.release import build_release, check_release, list_releases, plants, read_release, remove_releases

SOURCE = ROOT / "infra" / "services"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small release of one service."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "release.yaml").write_text(
        'schema: {oldest: "1", newest: "2"}\nconfig: {a: 1}\nservices: {web: {command: ["{python}", "-m", "web"]}}\n'
    )
    (folder / "web.py").write_text("print('hello')\n")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "web.pyc").write_text("not shipped")
    (folder / ".secret").write_text("not shipped")
    return folder


def test_the_same_content_gives_the_same_digest_wherever_it_is_built(tmp_path: Path) -> None:
    first = build_release("v1", SOURCE, tmp_path / "a")
    copy = tmp_path / "copy"
    shutil.copytree(SOURCE, copy)
    for file in copy.rglob("*"):
        os.utime(file, (0, 0))
    second = build_release("v1", copy, tmp_path / "b")
    assert first.digest == second.digest
    assert first.manifest == second.manifest
    assert build_release("v1", SOURCE, tmp_path / "a") == first


def test_a_manifest_names_every_file_and_what_is_not_shipped_is_not_there(source: Path, tmp_path: Path) -> None:
    release = build_release("v1", source, tmp_path / "releases")
    assert set(release.manifest.files) == {"config.json", "services/web.py"}
    assert json.loads((Path(release.path) / "config.json").read_text()) == {"a": 1}
    assert (release.manifest.schema_range.oldest, release.manifest.schema_range.newest) == ("1", "2")
    check_release(release)


def test_a_release_is_read_only(source: Path, tmp_path: Path) -> None:
    path = Path(build_release("v1", source, tmp_path / "releases").path)
    modes = {file.stat().st_mode & 0o222 for file in [path, *path.rglob("*")]}
    assert modes == {0}


def _change(path: Path) -> None:
    file = path / "services" / "web.py"
    file.chmod(0o644)
    file.write_text("print('other')\n")


def _add(path: Path) -> None:
    (path / "services").chmod(0o755)
    (path / "services" / "more.py").touch()


def _remove(path: Path) -> None:
    (path / "services").chmod(0o755)
    (path / "services" / "web.py").unlink()


@pytest.mark.parametrize(
    ("act", "because"),
    [
        (_change, "services/web.py was changed after the build"),
        (_add, "services/more.py was added after the build"),
        (_remove, "services/web.py was removed after the build"),
    ],
)
def test_a_file_that_was_changed_added_or_removed_is_named(
    source: Path, tmp_path: Path, act: Callable[[Path], None], because: str
) -> None:
    release = build_release("v1", source, tmp_path / "releases")
    act(Path(release.path))
    refused = refusal(lambda: check_release(release))
    assert (refused.what, refused.because) == ("release v1 is not what was built", because)
    assert "holdfast release build" in refused.way_out


def test_a_manifest_that_was_exchanged_or_damaged_is_refused(source: Path, tmp_path: Path) -> None:
    release = build_release("v1", source, tmp_path / "releases")
    manifest = Path(release.path) / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text().replace('"plant": ""', '"plant": "x"'))
    assert "manifest is not the one" in refusal(lambda: check_release(release)).because
    manifest.write_text("{")
    assert "its manifest cannot be read" in refusal(lambda: read_release("v1", tmp_path / "releases")).because


def test_a_version_with_other_content_is_refused_and_stays_as_it_is(source: Path, tmp_path: Path) -> None:
    before = build_release("v1", source, tmp_path / "releases")
    (source / "web.py").write_text("print('other')\n")
    assert "exists with other content" in refusal(lambda: build_release("v1", source, tmp_path / "releases")).what
    assert read_release("v1", tmp_path / "releases") == before
    assert [path.name for path in (tmp_path / "releases").iterdir()] == ["v1"]


def test_an_unknown_version_is_refused_with_those_that_are_known(source: Path, tmp_path: Path) -> None:
    assert refusal(lambda: read_release("v9", tmp_path)).because == "built releases: none"
    for version in ("v1", "v2"):
        build_release(version, source, tmp_path / "releases")
    refused = refusal(lambda: read_release("v9", tmp_path / "releases"))
    assert (refused.what, refused.because) == ("there is no release v9", "built releases: v1, v2")
    assert refused.way_out == "holdfast release build v9"
    assert [release.version for release in list_releases(tmp_path / "releases")] == ["v1", "v2"]


@pytest.mark.parametrize("version", ["", "../v1", ".hidden", "a/b", "a b", "x" * 64, "-v1"])
def test_what_is_no_version_is_refused(source: Path, tmp_path: Path, version: str) -> None:
    with pytest.raises(UsageError, match="is not a version"):
        build_release(version, source, tmp_path / "releases")
    assert not (tmp_path / "releases").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('schema: {oldest: "1"}\nservices: {}\n', "release.yaml: schema: Object missing required field newest"),
        ('schema: {oldest: 1, newest: "2"}\nservices: {}\n', "release.yaml: schema.oldest: expected str, got int"),
        ('schema: {oldest: "1", newest: "2"}\n', "release.yaml: Object missing required field services"),
    ],
)
def test_a_mistake_in_release_yaml_is_named(source: Path, tmp_path: Path, text: str, message: str) -> None:
    (source / "release.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        build_release("v1", source, tmp_path / "releases")
    assert caught.value.what.endswith(message)
    assert list((tmp_path / "releases").glob("*")) == []


@pytest.mark.parametrize("plant", plants())
def test_every_plant_builds_and_says_so_in_its_manifest(tmp_path: Path, plant: str) -> None:
    planted = build_release("p", SOURCE, tmp_path / "releases", plant=plant)
    plain = build_release("v", SOURCE, tmp_path / "releases")
    assert planted.manifest.plant == plant
    assert set(planted.manifest.files) - set(plain.manifest.files) == {"services/plant.py"}
    assert all("services.plant" in service.command for service in planted.manifest.services.values())
    check_release(planted)


def test_an_unknown_plant_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    assert len(plants()) >= 7
    with pytest.raises(UsageError, match="there is no plant weed") as caught:
        build_release("p", SOURCE, tmp_path / "releases", plant="weed")
    assert "never-ready" in caught.value.because
    assert list((tmp_path / "releases").glob("*")) == []


def test_releases_can_be_removed_although_they_are_read_only(source: Path, tmp_path: Path) -> None:
    build_release("v1", source, tmp_path / "releases")
    remove_releases(tmp_path / "releases")
    assert not (tmp_path / "releases").exists()
