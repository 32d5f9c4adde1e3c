"""The cluster's own namespaces (mount, pid, network) and the processes in them.

`create` starts the first process; `start` adds one; `run` runs a command to its end. Forks, so the caller has one
thread. The kernel ends everything when the first process ends (pid_namespaces(7)).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from holdfast.children import Identity, identify
from holdfast.errors import EnvironmentFailed
from holdfast.infra.targets.cluster.local.configs import SYSCTLS
from holdfast.infra.targets.cluster.local.layout import INSIDE

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
MS_REC, MS_SLAVE, MS_SHARED = 0x4000, 0x80000, 0x100000
TOOLS = "/run/tools"
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def mount_commands(root: Path, tools: Path) -> list[list[str]]:
    """What a new mount namespace needs: the components find their folders at the defaults, and all are the cluster's.

    `root` is the state folder and `tools` the folder of built programs, both on the host.
    """
    bind = ["mount", "--bind"]
    sysctls = [[*bind, f"{INSIDE}/conf/sysctl/{name.replace('/', '.')}", f"/proc/sys/{name}"] for name in SYSCTLS]
    return [
        ["mount", "-t", "proc", "proc", "/proc"],
        ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"],
        ["mkdir", INSIDE, TOOLS],
        [*bind, str(root), INSIDE],
        [*bind, str(tools), TOOLS],
        [*bind, f"{INSIDE}/varlib", "/var/lib"],
        [*bind, f"{INSIDE}/varlog", "/var/log"],
        [*bind, f"{INSIDE}/tmp", "/tmp"],  # noqa: S108 - the cluster's own; volumes lie there
        *sysctls,
    ]


def create(program: Path, env: Mapping[str, str], log: Path) -> Identity:
    """Start `program` as the first process of new namespaces; mounts of the host come in, none goes out."""

    def unshare() -> None:
        _checked(_libc().unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET), "unshare")
        for flags in (MS_REC | MS_SLAVE, MS_REC | MS_SHARED):
            _checked(_libc().mount(b"none", b"/", None, flags, None), "mount")

    return _fork(unshare, [str(program)], env, log, user=0)


def start(init: Identity, argv: Sequence[str], env: Mapping[str, str], log: Path, *, user: int = 0) -> Identity:
    """Start a process in the namespaces of `init`, as its child: it outlives the caller."""

    def enter() -> None:
        kinds = {"net": CLONE_NEWNET, "pid": CLONE_NEWPID, "mnt": CLONE_NEWNS}
        files = {kind: os.open(f"/proc/{init.pid}/ns/{kind}", os.O_RDONLY) for kind in kinds}
        for kind, flag in kinds.items():
            _checked(_libc().setns(files[kind], flag), f"setns {kind}")

    return _fork(enter, argv, env, log, user=user)


def enter_argv(init: Identity, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` in the namespaces of `init`. /sys stays the host's, and with it the cgroups."""
    return ["nsenter", f"--target={init.pid}", "--mount", "--net", "--pid", "--", *argv]


def run(init: Identity, argv: Sequence[str], *, timeout: float = 60.0) -> str:
    """Run a command inside to its end and return what it printed. Raises EnvironmentFailed."""
    return run_on_host(enter_argv(init, argv), named=argv, timeout=timeout)


def run_on_host(argv: Sequence[str], *, named: Sequence[str] = (), timeout: float = 60.0, given: str = "") -> str:
    """Run a command to its end and return what it printed. Raises EnvironmentFailed with its last line."""
    done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False, timeout=timeout)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"it ended with {done.returncode}"]
        raise EnvironmentFailed(
            f"`{' '.join(named or argv)}` failed",
            because=lines[-1],
            way_out="correct that, then run scripts/cluster up again",
        )
    return done.stdout


def _fork(
    prepare: Callable[[], None], argv: Sequence[str], env: Mapping[str, str], log: Path, *, user: int
) -> Identity:
    """Fork, `prepare` namespaces, fork again: only a child is in a new pid namespace. Returns who it is."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)  # an interrupt in a fork's hooks would be lost
    try:
        status, said = _fork_twice(prepare, argv, env, log, user)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    identity = identify(int(said)) if status == 0 and said.isdecimal() else None
    if identity is None:
        raise EnvironmentFailed(
            f"{Path(argv[0]).name} could not be started",
            because=said if status else f"it ended at once; see {log}",
            way_out="see that log; root with all capabilities is needed",
        )
    return identity


def _fork_twice(
    prepare: Callable[[], None], argv: Sequence[str], env: Mapping[str, str], log: Path, user: int
) -> tuple[int, str]:
    """The child's exit status, and what it said: the grandchild's pid, or an error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            prepare()
            grandchild = os.fork()
            if grandchild == 0:
                _execute(argv, env, out, user)
            os.write(writing, str(grandchild).encode())
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - the parent must hear of it, whatever it is
            os.write(writing, f"{error}".encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return status, said


def _execute(argv: Sequence[str], env: Mapping[str, str], out: int, user: int) -> NoReturn:
    """Become the program; whatever fails is in its log, and this copy of Python never goes on."""
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(source, target)
        os.closerange(3, 256)
        for number in (*INTERRUPTS, signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores the last two; programs do not
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.chdir("/")
        if user:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        os.execve(argv[0], list(argv), dict(env))  # noqa: S606 - argv is ours, and no shell is wanted
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
