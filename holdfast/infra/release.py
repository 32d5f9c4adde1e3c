"""Releases: read-only folders with a manifest of hashes. A color runs only from its release, checked at start."""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import tempfile
from pathlib import Path

import msgspec

from holdfast.config import convert, read_yaml
from holdfast.content import content_root
from holdfast.errors import Refused, UsageError

VERSION_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
MANIFEST = "manifest.json"


class SchemaRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Alembic revisions that a release tolerates, both ends included."""

    oldest: str
    newest: str


class ServiceCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a service of the release is started; {python} is the interpreter that runs holdfast."""

    command: list[str]


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """release.yaml in the folder that a release is built from."""

    schema_range: SchemaRange = msgspec.field(name="schema")
    services: dict[str, ServiceCommand]
    config: dict[str, object] = {}


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """manifest.json: sha256 of each file, the schema range, the commands; `plant` names the planted fault, if any."""

    version: str
    schema_range: SchemaRange
    services: dict[str, ServiceCommand]
    files: dict[str, str]
    plant: str = ""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A built release. `digest` is the sha256 of its manifest and so of everything in it."""

    version: str
    digest: str
    path: str
    manifest: Manifest


def build_release(version: str, source: Path, releases: Path, *, plant: str = "") -> Release:
    """Copy `source` into RELEASES/VERSION with a manifest, read-only. The folder appears whole or not at all.

    Building the same content again gives the same release. Raises Refused when the version exists with other
    content, UsageError for a bad version, a bad release.yaml or an unknown plant.
    """
    if not VERSION_FORM.fullmatch(version):
        raise UsageError(
            f"{version!r} is not a version",
            because="a version is 1 to 63 letters, digits, . - _ and begins with a letter or a digit",
            way_out="choose a name like v2 or 1.4.0",
        )
    recipe_path = source / "release.yaml"
    recipe = convert(read_yaml(recipe_path), Recipe, f"{recipe_path}:")
    releases.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{version}.", dir=releases))
    try:
        _copy_services(source, work / "services")
        commands = _plant(plant, work, recipe.services) if plant else recipe.services
        (work / "config.json").write_bytes(msgspec.json.format(msgspec.json.encode(recipe.config), indent=2))
        manifest = Manifest(
            version=version,
            schema_range=recipe.schema_range,
            services=commands,
            files=_hash_files(work),
            plant=plant,
        )
        (work / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        return _put_in_place(work, releases / version)
    finally:
        _remove(work)


def read_release(version: str, releases: Path) -> Release:
    """Read a release without checking its files. Raises Refused with the known versions when there is none."""
    path = releases / version
    if not (path / MANIFEST).is_file():
        known = [release.version for release in list_releases(releases)]
        raise Refused(
            f"there is no release {version}",
            because=f"built releases: {', '.join(known) or 'none'}",
            way_out=f"holdfast release build {version}",
        )
    raw = (path / MANIFEST).read_bytes()
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        raise _changed(version, f"its manifest cannot be read ({error})") from error
    return Release(version=version, digest=hashlib.sha256(raw).hexdigest(), path=str(path), manifest=manifest)


def check_release(release: Release) -> None:
    """Compare every file with the manifest. Raises Refused when anything was changed, added or removed."""
    found = _hash_files(Path(release.path))
    for name in sorted(found.keys() | release.manifest.files.keys()):
        if found.get(name) != release.manifest.files.get(name):
            word = "added" if name not in release.manifest.files else "removed" if name not in found else "changed"
            raise _changed(release.version, f"{name} was {word} after the build")
    raw = (Path(release.path) / MANIFEST).read_bytes()
    if hashlib.sha256(raw).hexdigest() != release.digest:
        raise _changed(release.version, "its manifest is not the one that was deployed")


def list_releases(releases: Path) -> list[Release]:
    """All built releases, oldest build first."""
    folders = [path for path in releases.glob("*/" + MANIFEST) if not path.parent.name.startswith(".")]
    return [read_release(path.parent.name, releases) for path in sorted(folders, key=lambda p: p.stat().st_mtime)]


def plants() -> list[str]:
    """The names of the planted faults that came with this installation."""
    return sorted(path.stem.replace("_", "-") for path in (content_root() / "infra" / "plants").glob("[a-z]*.py"))


def remove_releases(releases: Path) -> None:
    """Remove all releases of a throw-away stack; their folders are read-only."""
    _remove(releases)


def _copy_services(source: Path, to: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "release.yaml", ".*")
    shutil.copytree(source, to, ignore=ignored)


def _plant(plant: str, work: Path, services: dict[str, ServiceCommand]) -> dict[str, ServiceCommand]:
    """Put the plant's module beside the services and start each service through it."""
    if plant not in plants():
        raise UsageError(
            f"there is no plant {plant}", because=f"known: {', '.join(plants())}", way_out="name one of those"
        )
    module = content_root() / "infra" / "plants" / f"{plant.replace('-', '_')}.py"
    shutil.copy(module, work / "services" / "plant.py")
    return {name: ServiceCommand(command=["{python}", "-P", "-m", "services.plant", name]) for name in services}


def _hash_files(root: Path) -> dict[str, str]:
    """Path below `root` to sha256, for every file but the manifest; of a link, the path that it leads to.

    Python's caches count too: a planted one would run in place of the module beside it.
    """
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file() and name != MANIFEST:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _put_in_place(work: Path, path: Path) -> Release:
    if path.exists():
        old = read_release(path.name, path.parent)
        check_release(old)
        if (work / MANIFEST).read_bytes() == (path / MANIFEST).read_bytes():
            return old
        raise Refused(
            f"release {path.name} exists with other content",
            because=f"it was built before (manifest {old.digest[:12]}), and a release never changes",
            way_out="choose another version",
        )
    for file in work.rglob("*"):
        file.chmod(0o555 if file.is_dir() else 0o444)
    work.rename(path)
    path.chmod(0o555)
    return read_release(path.name, path.parent)


def _remove(folder: Path) -> None:
    if folder.exists():
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                path.chmod(stat.S_IRWXU)
        shutil.rmtree(folder)


def _changed(version: str, because: str) -> Refused:
    return Refused(
        f"release {version} is not what was built",
        because=because,
        way_out=f"build it again under a new version: holdfast release build {version}-1",
    )
