"""Files that survive: replaced whole, lines whole, a full disk is one clear error, and nothing is left over."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import msgspec
import pytest
from support.small_disk import on_small_disk

from holdfast.durable import LineFile, decoded, replace_file, whole_lines
from holdfast.errors import EnvironmentFailed, ExitCode
from holdfast.timeline import now


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    replace_file(tmp_path / "secret", b"one", mode=0o600)
    replace_file(tmp_path / "secret", b"two", mode=0o600)
    assert (tmp_path / "secret").read_bytes() == b"two"
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["secret"]


def test_nobody_saw_the_new_content_before_the_instant_that_is_returned(tmp_path: Path) -> None:
    before = now()
    replaced = replace_file(tmp_path / "routes", b"new")
    assert before <= replaced <= now()


def test_a_reader_sees_the_old_content_or_the_new_and_never_a_part(tmp_path: Path) -> None:
    path, done, seen = tmp_path / "routes", threading.Event(), set()
    contents = {bytes([65 + k]) * 50_000 for k in range(2)}
    replace_file(path, next(iter(contents)))

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        for content in contents:
            replace_file(path, content)
    done.set()
    reader.join(10)
    assert seen == contents


def test_a_folder_that_does_not_exist_is_an_error_with_three_parts(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed) as raised:
        replace_file(tmp_path / "gone" / "file", b"x")
    assert raised.value.code is ExitCode.UNKNOWN
    assert "could not write" in raised.value.what
    assert raised.value.because == "No such file or directory"
    assert raised.value.way_out


def test_a_full_disk_leaves_the_old_content_in_place_and_no_temporary_file(tmp_path: Path) -> None:
    found = on_small_disk(
        tmp_path,
        textwrap.dedent("""
            import json, os
            from pathlib import Path
            from holdfast.durable import replace_file
            from holdfast.errors import EnvironmentFailed
            replace_file(Path("state"), b"old")
            try:
                replace_file(Path("state"), b"x" * 100_000)
            except EnvironmentFailed as error:
                said = [error.what, error.because, error.way_out]
            replace_file(Path("small"), b"fits again")
            print(json.dumps([Path("state").read_text(), sorted(os.listdir(".")), said]))
        """),
    )
    content, files, (what, because, way_out) = found
    assert (content, files) == ("old", ["small", "state"])
    assert (what, because) == ("could not write state", "No space left on device")
    assert "free space" in way_out


def test_a_disk_without_a_free_inode_is_the_same_error(tmp_path: Path) -> None:
    code = """
        import json
        from pathlib import Path
        from holdfast.durable import LineFile, replace_file
        from holdfast.errors import EnvironmentFailed
        said = []
        for act in (lambda: replace_file(Path("c"), b"x"), lambda: LineFile(Path("c"))):
            try:
                [Path(name).touch() for name in "ab"]
                act()
            except EnvironmentFailed as error:
                said.append(error.because)
        print(json.dumps(said))
    """
    found = on_small_disk(tmp_path, textwrap.dedent(code), options="nr_inodes=3")
    assert found == ["No space left on device"] * 2


FILL = """
    import json, os
    from pathlib import Path
    from holdfast.durable import LineFile, whole_lines
    from holdfast.errors import EnvironmentFailed
    Path("ballast").write_bytes(b"x" * 16384)
    file, written = LineFile(Path("lines"), sync=SYNC), 0
    try:
        while True:
            file.append(b"%04d" % written + b"x" * 996)
            written += 1
    except EnvironmentFailed as error:
        because = error.because
    Path("ballast").unlink()
    file.append(b"after")
    lines = [line.decode() for line in whole_lines(Path("lines"))]
    print(json.dumps([written, because, [len(line) for line in lines], lines[-1]]))
"""


def test_a_full_disk_takes_a_torn_line_back_where_there_is_one_writer(tmp_path: Path) -> None:
    found = on_small_disk(tmp_path, textwrap.dedent(FILL.replace("SYNC", "True")))
    written, because, sizes, last = found
    assert (because, last) == ("No space left on device", "after")
    assert sizes == [1000] * written + [5]


def test_a_full_disk_tears_one_line_and_no_other_where_there_are_several_writers(tmp_path: Path) -> None:
    found = on_small_disk(tmp_path, textwrap.dedent(FILL.replace("SYNC", "False")))
    written, because, sizes, last = found
    assert because == "No space left on device"
    assert sizes[:written] == [1000] * written
    assert last == "after"


def test_a_line_is_in_the_kernel_when_append_returns_and_survives_sigkill(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from holdfast.durable import LineFile
        file = LineFile(Path(sys.argv[1]))
        for k in range(1_000_000):
            file.append(b"%d" % k)
            sys.stdout.write(f"{k}\\n")
            sys.stdout.flush()
    """)
    path = tmp_path / "lines"
    with subprocess.Popen([sys.executable, "-P", "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(200):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        told = 200 + len(child.stdout.read().split("\n")[:-1])
    lines = list(whole_lines(path))
    assert lines[:told] == [b"%d" % k for k in range(told)]
    assert len(lines) - told in (0, 1)


def test_lines_of_several_writers_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines"

    def write(letter: bytes) -> None:
        file = LineFile(path)
        for _ in range(500):
            file.append(letter * 300)
        file.close()

    writers = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(20)
    lines = list(whole_lines(path))
    assert sorted(lines) == sorted([letter * 300 for letter in (b"a", b"b", b"c")] * 500)


def test_an_append_after_close_is_an_error_and_a_second_close_is_none(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "lines")
    file.close()
    file.close()
    with pytest.raises(EnvironmentFailed):
        file.append(b"late")


def test_a_last_line_without_its_end_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"one\n\ntwo\nthr")
    assert list(whole_lines(tmp_path / "lines")) == [b"one", b"", b"two"]


def test_records_are_read_around_a_torn_line_and_no_file_is_no_record(tmp_path: Path) -> None:
    decoder = msgspec.json.Decoder(dict[str, int])
    (tmp_path / "lines").write_bytes(b'{"a":1}\n{"a":\n{"a":2}\n{"a"')
    assert list(decoded(tmp_path / "lines", decoder)) == [{"a": 1}, {"a": 2}]
    assert list(decoded(tmp_path / "none", decoder)) == []


def test_a_read_only_disk_is_an_error_with_three_parts(tmp_path: Path) -> None:
    code = """
        import json
        from pathlib import Path
        from holdfast.durable import LineFile, replace_file
        from holdfast.errors import EnvironmentFailed
        said = []
        for act in (lambda: LineFile(Path("c")), lambda: replace_file(Path("c"), b"x")):
            try:
                act()
            except EnvironmentFailed as error:
                said.append(error.because)
            except OSError as error:
                said.append(repr(error))
        print(json.dumps(said))
    """
    found = on_small_disk(tmp_path, textwrap.dedent(code), options="ro")
    assert found == ["Read-only file system"] * 2


def test_the_process_that_is_killed_while_it_replaces_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "state"
    replace_file(path, b"old" * 1000)
    code = "import sys; from pathlib import Path; from holdfast.durable import replace_file\n"
    code += "while True: replace_file(Path(sys.argv[1]), b'new' * 1000); print(flush=True)"
    with subprocess.Popen([sys.executable, "-P", "-c", code, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"new" * 1000
    left = [name for name in names(tmp_path) if name != "state"]
    assert all(name.startswith(f".state.{child.pid}-") for name in left)
    assert os.path.lexists(path)
