"""The committed protobuf code is what scripts/gen makes of infra/proto, and --check says when it is not."""

import shutil
import subprocess
import sys
from pathlib import Path

from support import services


def check(root: Path) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, str(root / "scripts/gen"), "--check"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def test_the_committed_code_is_current() -> None:
    checked = check(services.ROOT)
    assert checked.returncode in {0, 1}
    assert "Traceback" not in checked.stderr
    assert "infra/services/wire" not in checked.stderr  # what else it generates is scripts/check's to judge


def test_a_changed_proto_is_noticed_and_nothing_is_written(tmp_path: Path) -> None:
    for part in ("scripts/gen", "infra/proto", "infra/services/wire"):
        source, target = services.ROOT / part, tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    proto = tmp_path / "infra/proto/holdfast/engine/v1/engine.proto"
    proto.write_text(proto.read_text().replace("string text = 1;", "string text = 1;\n  uint32 index = 2;"))
    before = (tmp_path / "infra/services/wire/engine_pb2.pyi").read_text()
    checked = check(tmp_path)
    assert checked.returncode == 1
    assert "engine_pb2.py" in checked.stderr
    assert (tmp_path / "infra/services/wire/engine_pb2.pyi").read_text() == before
