"""Pulumi's command line: the one on PATH, else the one that scripts/tools builds from its Go module.

It runs in a process group of its own, so that Ctrl-C on a terminal reaches us alone: we tell it to end once, it ends
what it is doing, writes its state and gives its lock back. Each of its processes says whose it is, so that the next
command knows one whose command was killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from pulumi.automation import PulumiCommand
from pulumi.automation._cmd import CommandResult
from pulumi.automation.errors import create_command_error

from holdfast.children import Identity, end, identify
from holdfast.content import content_root
from holdfast.errors import EnvironmentFailed, HoldfastError, Refused
from holdfast.infra.targets.cluster.local.programs import build_tool

Say = Callable[[str], None]
OWNER = "HOLDFAST_PULUMI_OWNER"
"""`pid:start time` of the command that a process of Pulumi works for."""
GRACE_S = 30.0
"""How long Pulumi may take to end what it is doing."""


class Command(PulumiCommand):
    """Pulumi's command line, one process at a time. `killed`: the last one did not end in time and was made to."""

    def __init__(self, root: str | None, say: Say) -> None:
        super().__init__(root=root)
        self._say = say
        self.killed = False

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], object] | None = None,
        on_error: Callable[[str], object] | None = None,
    ) -> CommandResult:
        """Run it to its end. Raises CommandError when that is not 0, KeyboardInterrupt after it was told to end."""
        argv = [self.command, "--non-interactive", *args]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            with subprocess.Popen(
                argv, cwd=cwd, env=self._environment(additional_env), stdout=out, stderr=err, process_group=0
            ) as process:
                self.killed, running = False, identify(process.pid)
                try:
                    process.wait()
                except BaseException:
                    self._end(running)
                    process.wait()
                    raise
            result = CommandResult(stdout=_said(out), stderr=_said(err), code=process.returncode)
        _tell(on_output, result.stdout)
        _tell(on_error, result.stderr)
        if result.code != 0:
            raise create_command_error(result)
        return result

    def _end(self, running: Identity | None) -> None:
        """Ctrl-C: have it end in good order, plugins too; a second Ctrl-C does not wait for that."""
        if running is None:
            return
        self._say("Pulumi ends what it is doing and gives its lock back; Ctrl-C again does not wait for that")
        try:
            self.killed = not end(running, grace=GRACE_S, number=signal.SIGINT)
        except KeyboardInterrupt:
            self.killed = True
        if self.killed:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        me = identify(os.getpid())
        found = {**os.environ, **more, "PULUMI_AUTOMATION_API": "true", OWNER: f"{me.pid}:{me.started}" if me else ""}
        if Path(self.command).is_absolute():  # its own plugins lie beside it
            found["PATH"] = os.pathsep.join([str(Path(self.command).parent), found.get("PATH", "")])
        return found


def orphan(holder: Identity) -> bool:
    """Whether a process of Pulumi has lost the command that it worked for; False when nobody can tell."""
    try:
        variables = Path(f"/proc/{holder.pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    owners = [entry.partition(b"=")[2].decode() for entry in variables if entry.startswith(f"{OWNER}=".encode())]
    if not owners or not owners[0]:
        return False
    pid, _, started = owners[0].partition(":")
    return not Identity(pid=int(pid), started=int(started)).alive()


def pulumi_command(folder: Path, say: Say) -> Command:
    """The command line, ready to use. A build takes about five minutes, once a version. Raises Refused.

    The SDK looks for a folder `bin`: `folder` gets a link of that name to where a built one lies.
    """
    if shutil.which("pulumi"):
        return Command(None, say)
    built, link = _built(say), folder / "bin"
    if not link.is_symlink() or link.readlink() != built:
        link.unlink(missing_ok=True)
        link.symlink_to(built)
    return Command(str(folder), say)


def _said(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip()


def _tell(listener: Callable[[str], object] | None, text: str) -> None:
    if listener is not None:
        for line in text.splitlines():
            listener(line)


def _built(say: Say) -> Path:
    try:
        return build_tool(content_root(), "pulumi", say)
    except (EnvironmentFailed, Refused) as error:
        raise _absent(error) from error


def _absent(error: HoldfastError) -> Refused:
    return Refused(
        "there is no Pulumi command line",
        because=f"none is on PATH, and none could be built: {error.what}",
        way_out="install Pulumi and have it on PATH, or run scripts/tools pulumi in a checkout",
    )
