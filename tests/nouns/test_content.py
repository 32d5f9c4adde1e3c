"""Names like `sparkle`: a path, else the working folder's file, else the one that came with holdfast."""

from pathlib import Path

import pytest

from holdfast.content import FOLDERS, content_root, resolve
from holdfast.errors import ExitCode, UsageError


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "load/profiles").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_with_a_suffix_is_a_path(working_folder: Path) -> None:
    (working_folder / "mine.yaml").touch()
    assert resolve("mine.yaml", "load/profiles", ".yaml") == Path("mine.yaml")
    with pytest.raises(UsageError, match=r"no file other\.yaml"):
        resolve("other.yaml", "load/profiles", ".yaml")


def test_the_working_folder_comes_before_ours(working_folder: Path) -> None:
    ours = resolve("verify", "load/profiles", ".yaml")
    assert ours == content_root() / "load/profiles/verify.yaml"
    mine = working_folder / "load/profiles/verify.yaml"
    mine.touch()
    assert resolve("verify", "load/profiles", ".yaml") == mine


def test_a_name_that_nobody_knows_is_an_error_with_the_names_that_exist(working_folder: Path) -> None:
    (working_folder / "load/profiles/mine.yaml").touch()
    with pytest.raises(UsageError) as raised:
        resolve("verfy", "load/profiles", ".yaml")
    assert raised.value.code is ExitCode.USAGE
    assert "mine" in raised.value.because
    assert "verify" in raised.value.because


def test_where_nothing_is_known_the_error_says_so(working_folder: Path) -> None:
    with pytest.raises(UsageError, match="known: none"):
        resolve("x", "no/such/folder", ".yaml")


def test_a_folder_is_not_taken_for_a_file(working_folder: Path) -> None:
    (working_folder / "load/profiles/odd.yaml").mkdir()
    with pytest.raises(UsageError):
        resolve("odd", "load/profiles", ".yaml")


def test_the_content_that_came_with_holdfast_is_there() -> None:
    assert [name for name in ("infra", "load", "migrations") if not (content_root() / name).is_dir()] == []
    assert {"infra", "load", "migrations"} <= set(FOLDERS)
