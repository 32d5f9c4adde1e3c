"""tests/ holds no packages; every folder's README fits one screen; each content folder has one."""

from collections.abc import Collection, Iterator
from pathlib import Path

from shape.tree import REPOSITORY, files, plant

from holdfast.content import FOLDERS

README_LINES = 60


def packages_under_tests(root: Path) -> list[str]:
    """`__init__.py` files under tests/: they would give our folders of tests names that others have, such as `load`."""
    return [str(path.relative_to(root)) for path in files(root / "tests") if path.name == "__init__.py"]


def long_readmes(root: Path) -> Iterator[str]:
    """READMEs of more than one screen."""
    for path in files(root):
        if path.name == "README.md" and (count := len(path.read_text(encoding="utf-8").splitlines())) > README_LINES:
            yield f"{path.relative_to(root)}: {count} lines"


def folders_without_readme(root: Path, folders: Collection[str]) -> list[str]:
    """Of these folders, the ones that exist and do not say what they are."""
    return [name for name in folders if (root / name).is_dir() and not (root / name / "README.md").is_file()]


def test_there_are_no_packages_under_tests() -> None:
    assert packages_under_tests(REPOSITORY) == []


def test_a_planted_package_under_tests_is_found(tmp_path: Path) -> None:
    plant(tmp_path, {"tests/load/__init__.py": "", "tests/load/test_a.py": "", "holdfast/__init__.py": ""})
    assert packages_under_tests(tmp_path) == ["tests/load/__init__.py"]


def test_readmes_fit_one_screen() -> None:
    assert list(long_readmes(REPOSITORY)) == []


def test_a_planted_long_readme_is_found(tmp_path: Path) -> None:
    plant(tmp_path, {"a/README.md": "line\n" * README_LINES, "b/README.md": "line\n" * (README_LINES + 1)})
    assert list(long_readmes(tmp_path)) == [f"b/README.md: {README_LINES + 1} lines"]


def test_each_content_folder_says_what_it_is() -> None:
    assert folders_without_readme(REPOSITORY, FOLDERS) == []


def test_a_planted_folder_without_a_readme_is_found(tmp_path: Path) -> None:
    plant(tmp_path, {"load/README.md": "", "chaos/kill.yaml": ""})
    assert folders_without_readme(tmp_path, FOLDERS) == ["chaos"]
