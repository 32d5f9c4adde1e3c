"""Images: a layer's digest depends on the content alone, an archive is a valid OCI layout, the Containerfile agrees."""

import hashlib
import io
import json
import os
import socket
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support.golden import assert_golden
from support.stack import ROOT

from holdfast.errors import UsageError
from holdfast.infra.images.archive import write_archive
from holdfast.infra.images.build import image_settings
from holdfast.infra.images.containerfile import containerfile
from holdfast.infra.images.description import load_description
from holdfast.infra.images.layer import EPOCH, read_layer, write_layer
from holdfast.infra.images.rootfs import belongs_to_base, debootstrap_argv


def tree(root: Path, *, at: int = EPOCH + 1000) -> Path:
    """A small root file system; `at` is when its files were written."""
    texts = {"etc/passwd": "root:x:0:0::/:/bin/sh\n", "opt/app/main.py": "print()\n", "opt/app/b.py": ""}
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "opt/app/main.py").chmod(0o755)
    (root / "bin").symlink_to("usr/bin")
    for path in (root, *root.rglob("*")):
        os.utime(path, (at, at), follow_symlinks=False)
    return root


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as tar:
        return {member.name: member for member in tar}


def blob(tar: tarfile.TarFile, digest: str) -> bytes:
    file = tar.extractfile(f"blobs/{digest.replace(':', '/')}")
    assert file
    data = file.read()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    return data


def test_a_layer_made_at_another_time_and_place_has_the_same_digest(tmp_path: Path) -> None:
    first = write_layer(tmp_path / "1.tar", tree(tmp_path / "a"), ["."])
    second = write_layer(tmp_path / "2.tar", tree(tmp_path / "b", at=EPOCH + 99_999), ["."])
    assert first.digest == second.digest == read_layer(first.path).digest


def test_a_changed_byte_and_a_changed_mode_change_the_digest(tmp_path: Path) -> None:
    root = tree(tmp_path / "a")
    before = write_layer(tmp_path / "1.tar", root, ["."]).digest
    (root / "opt/app/main.py").chmod(0o644)
    mode = write_layer(tmp_path / "2.tar", root, ["."]).digest
    (root / "opt/app/b.py").write_text("1")
    content = write_layer(tmp_path / "3.tar", root, ["."]).digest
    assert len({before, mode, content}) == 3


def test_a_layer_keeps_modes_and_links_and_belongs_to_root(tmp_path: Path) -> None:
    found = members(write_layer(tmp_path / "1.tar", tree(tmp_path / "a"), ["."]).path)
    assert found["opt/app/main.py"].mode == 0o755
    assert found["bin"].linkname == "usr/bin"
    assert {(member.uid, member.gid) for member in found.values()} == {(0, 0)}


def test_a_layer_of_a_folder_has_its_parents_and_nothing_beside_it(tmp_path: Path) -> None:
    found = members(write_layer(tmp_path / "1.tar", tree(tmp_path / "a"), ["opt/app"]).path)
    assert list(found) == ["opt", "opt/app", "opt/app/b.py", "opt/app/main.py"]


def test_sockets_and_what_is_not_kept_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "a")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        layer = write_layer(tmp_path / "1.tar", root, ["."], keep=lambda name: not name.startswith("opt"))
    assert set(members(layer.path)) == {"bin", "etc", "etc/passwd"}


def test_an_archive_is_a_layout_whose_every_digest_is_true(tmp_path: Path) -> None:
    layers = [write_layer(tmp_path / f"{top}.tar", tree(tmp_path / top), [top]) for top in ("etc", "opt")]
    digest = write_archive(tmp_path / "image.tar", "localhost/app:v1", layers, {"User": "1:1"})
    with tarfile.open(tmp_path / "image.tar") as tar:
        assert json.loads(read(tar, "oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        (entry,) = json.loads(read(tar, "index.json"))["manifests"]
        assert entry["annotations"]["io.containerd.image.name"] == "localhost/app:v1"
        assert entry["digest"] == digest
        manifest = json.loads(blob(tar, digest))
        config = json.loads(blob(tar, manifest["config"]["digest"]))
        assert config["config"] == {"User": "1:1"}
        assert config["rootfs"]["diff_ids"] == [found["digest"] for found in manifest["layers"]]
        for described in (*manifest["layers"], manifest["config"]):
            assert len(blob(tar, described["digest"])) == described["size"]
        with tarfile.open(fileobj=io.BytesIO(blob(tar, manifest["layers"][1]["digest"]))) as layer:
            assert "opt/app/main.py" in layer.getnames()


def read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file
    return file.read()


def test_the_same_image_twice_is_the_same_bytes(tmp_path: Path) -> None:
    layer = write_layer(tmp_path / "1.tar", tree(tmp_path / "a"), ["."])
    for name in ("a.oci", "b.oci"):
        write_archive(tmp_path / name, "localhost/app:v1", [layer], {"Env": ["A=1"]})
    assert (tmp_path / "a.oci").read_bytes() == (tmp_path / "b.oci").read_bytes()


def test_the_containerfile_is_made_from_the_description() -> None:
    assert_golden(ROOT / "infra" / "images" / "Containerfile", containerfile(load_description()))


def test_the_image_runs_as_an_ordinary_user_with_the_stores_on_its_path() -> None:
    settings: Any = image_settings(load_description())
    assert settings["User"] == "10001:10001"
    path = next(entry for entry in settings["Env"] if entry.startswith("PATH="))
    assert "pginstall18/bin" in path


@pytest.mark.parametrize(
    ("name", "kept"),
    [("usr/bin/python3", True), ("dev", True), ("dev/null", False), ("opt/holdfast/lib/grpc", False), ("tmp", True)],
)
def test_the_base_layer_holds_folders_for_mounts_but_nothing_in_them(name: str, kept: bool) -> None:
    assert belongs_to_base(name) is kept


def test_what_debootstrap_mounts_stays_in_a_namespace_of_its_own(tmp_path: Path) -> None:
    argv = debootstrap_argv(load_description(), tmp_path)
    assert argv[:3] == ["unshare", "--mount", "--propagation=private"]
    assert "--variant=minbase" in argv


def test_an_unknown_key_of_a_description_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "image.yaml"
    path.write_text((ROOT / "infra/images/image.yaml").read_text() + "colour: blue\n")
    with pytest.raises(UsageError, match="colour"):
        load_description(path)
