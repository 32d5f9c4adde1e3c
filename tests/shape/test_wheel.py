"""The wheel in a clean environment, inside a repository that has its own infra/, load/, migrations/ and tests/."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from shape.tree import REPOSITORY, files, plant

from holdfast.content import FOLDERS

pytestmark = pytest.mark.slow

FOREIGN = ("infra", "load", "migrations", "tests")


def said(*argv: str | Path, cwd: Path) -> str:
    """What a command printed; its failure is the test's."""
    result = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, timeout=170)
    assert result.returncode == 0, f"{argv}: {result.stdout}{result.stderr}"
    return result.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the working tree."""
    folder = tmp_path_factory.mktemp("dist")
    said(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=REPOSITORY)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a clean environment that holds the wheel and its dependencies, nothing for development."""
    folder = tmp_path_factory.mktemp("clean")
    uv = Path(sys.executable).with_name("uv")
    said(uv, "venv", "-q", "--python", sys.executable, folder / "venv", cwd=folder)
    install: list[str | Path] = [
        uv,
        "pip",
        "install",
        "-q",
        "--python",
        folder / "venv/bin/python",
        "--constraint",
        REPOSITORY / "requirements.lock",
    ]
    offline = subprocess.run([*install, "--offline", wheel], cwd=folder, capture_output=True, check=False, timeout=170)
    if offline.returncode != 0:
        said(*install, wheel, cwd=folder)
    return folder / "venv/bin"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Somebody else's repository, with packages named as our folders are."""
    return plant(tmp_path, {f"{name}/__init__.py": "OWNER = 'foreign'\n" for name in FOREIGN})


def content(root: Path) -> set[str]:
    """The files of the content folders."""
    inside = (path.relative_to(root) for path in files(root))
    return {path.as_posix() for path in inside if path.parts[0] in FOLDERS}


def test_the_wheel_carries_the_content_folders_and_no_bytecode(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    prefix = "holdfast/_content/"
    assert {name.removeprefix(prefix) for name in names if name.startswith(prefix)} == content(REPOSITORY)
    assert not [name for name in names if "__pycache__" in name or name.split("/")[0] in (*FOLDERS, "tests")]


def test_holdfast_runs_inside_a_foreign_repository(programs: Path, foreign: Path) -> None:
    assert "130 interrupted" in said(programs / "holdfast", "--help", cwd=foreign)
    assert "0.1.0" in said(programs / "holdfast", "--version", cwd=foreign)


def test_a_foreign_repository_imports_its_own_packages(programs: Path, foreign: Path) -> None:
    statement = f"import holdfast, {', '.join(FOREIGN)}; print(*[module.OWNER for module in ({', '.join(FOREIGN)})])"
    assert said(programs / "python", "-c", statement, cwd=foreign) == "foreign foreign foreign foreign"


def test_nothing_beside_holdfast_is_importable_outside_of_the_foreign_repository(
    programs: Path, tmp_path: Path
) -> None:
    names = (*FOLDERS, "tests")
    statement = f"import importlib.util as u; print([name for name in {names!r} if u.find_spec(name)])"
    assert said(programs / "python", "-c", statement, cwd=tmp_path) == "[]"


def test_the_content_of_the_wheel_is_found(programs: Path, foreign: Path) -> None:
    root = Path(
        said(programs / "python", "-c", "from holdfast.content import content_root as c; print(c())", cwd=foreign)
    )
    assert root.parts[-2:] == ("holdfast", "_content")
    assert {path.name for path in root.iterdir()} == {name.split("/")[0] for name in content(REPOSITORY)}


def test_the_editable_install_does_not_show_our_folders_either(tmp_path: Path) -> None:
    statement = f"import importlib.util as u; print([name for name in {FOLDERS!r} if u.find_spec(name)])"
    assert said(sys.executable, "-c", statement, cwd=tmp_path) == "[]"
