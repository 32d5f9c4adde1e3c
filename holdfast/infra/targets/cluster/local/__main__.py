"""`scripts/cluster`: the command line of the test cluster. stdout is the answer, stderr the progress."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
import msgspec

from holdfast.content import content_root
from holdfast.errors import EXIT_CODE_HELP, EnvironmentFailed, ExitCode, HoldfastError, Refused
from holdfast.infra.targets.cluster.local.layout import Layout, default_layout

CHECKOUT = content_root()


@click.group(
    epilog=f"Exit codes: {EXIT_CODE_HELP}",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def cli() -> None:
    """A whole Kubernetes on this machine for tests, or the cluster that KUBECONFIG names."""


@cli.command("up")
def up_command() -> None:
    """Have a cluster: that of KUBECONFIG if it is set, else one of our own."""
    from holdfast.infra.targets.cluster.local.up import up

    layout, begin = default_layout(), time.monotonic()
    if foreign := foreign_kubeconfig(layout):
        check_foreign(foreign)
        say(f"using the cluster of KUBECONFIG={foreign}; nothing was started")
        return
    refuse_without_root("started")
    say_since = progress_since(begin)
    with locked(layout, say_since):
        up(layout, CHECKOUT, say_since)
    say_since(f"the cluster is up; export KUBECONFIG={layout.kubeconfig}")


@cli.command("down")
def down_command() -> None:
    """End our own cluster; nothing of it is left. A cluster of KUBECONFIG is never touched."""
    from holdfast.infra.targets.cluster.local.down import down

    layout = default_layout()
    refuse_without_root("ended")
    with locked(layout, say):
        there = down(layout)
    say("the cluster has ended; nothing is left" if there else "there is no cluster of ours")


@cli.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def status_command(as_json: bool) -> int:
    """Say what runs; exit 0 when everything serves, 1 otherwise."""
    from holdfast.infra.targets.cluster.local.status import as_text, status

    found = status(default_layout())
    print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() if as_json else as_text(found))
    return ExitCode.PASS if found.state == "up" else ExitCode.FAIL


@cli.command("kubeconfig")
@click.option("--raw", is_flag=True, help="Print the file's content instead of its path.")
def kubeconfig_command(raw: bool) -> None:
    """Print the path of the kubeconfig."""
    layout = default_layout()
    path = Path(foreign_kubeconfig(layout) or layout.kubeconfig)
    if not path.exists():
        raise Refused("there is no kubeconfig", because=f"{path} does not exist", way_out="scripts/cluster up")
    print(path.read_text(encoding="utf-8") if raw else f"{path}\n", end="")


@cli.command("image")
@click.option("--tag", default="dev", show_default=True, help="The image is localhost/holdfast:TAG.")
@click.option(
    "--release", type=click.Path(path_type=Path, exists=True), help="A built release; default: the checkout's."
)
def image_command(tag: str, release: Path | None) -> None:
    """Build the image and load it; print its name with its digest."""
    from holdfast.infra.images.build import build_image
    from holdfast.infra.images.description import load_description
    from holdfast.infra.release import build_release
    from holdfast.infra.targets.cluster.local import images, programs, state

    layout, say_since = default_layout(), progress_since(time.monotonic())
    refuse_without_root("given an image")
    programs.install_debian({"debootstrap": "debootstrap", "unshare": "util-linux"}, say_since)
    with tempfile.TemporaryDirectory(prefix="holdfast-image-") as folder:
        source = content_root() / "infra" / "services"
        found = release or Path(build_release(tag, source, Path(folder)).path)
        built = build_image(load_description(), found, tag, CHECKOUT, say_since)
    with locked(layout, say_since):
        current = state.load(layout)
        if current and current.alive():
            images.load(current.init, built)
            say_since(f"{built.name} is loaded")
        else:
            say_since(f"no cluster of ours runs, so it was not loaded; the OCI archive is {built.archive}")
    print(built.pinned)


@cli.command("containerfile")
def containerfile_command() -> None:
    """Print the Containerfile of the same image."""
    from holdfast.infra.images.containerfile import containerfile
    from holdfast.infra.images.description import load_description

    print(containerfile(load_description()), end="")


def foreign_kubeconfig(layout: Layout) -> str:
    """KUBECONFIG, unless it is our own cluster's."""
    named = os.environ.get("KUBECONFIG", "")
    return "" if not named or Path(named).resolve() == layout.kubeconfig else named


def check_foreign(kubeconfig: str) -> None:
    """Raises EnvironmentFailed when the cluster of KUBECONFIG does not answer."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        from holdfast.infra.targets.cluster.local.programs import build_tool

        kubectl = str(build_tool(CHECKOUT, "kubernetes", say) / "kubectl")
    argv = [kubectl, f"--kubeconfig={kubeconfig}", "--request-timeout=10s", "get", "--raw=/readyz"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise EnvironmentFailed(
            f"the cluster of KUBECONFIG={kubeconfig} does not answer",
            because=(done.stderr.strip().splitlines() or ["kubectl said nothing"])[-1],
            way_out="correct KUBECONFIG, or unset it to have a cluster on this machine",
        )


def refuse_without_root(what: str) -> None:
    """Namespaces, mounts and links need root."""
    if os.geteuid() != 0:
        raise Refused(
            f"the cluster cannot be {what}",
            because="namespaces, mounts and links need root",
            way_out="run it as root, or set KUBECONFIG to a cluster of your own",
        )


@contextmanager
def locked(layout: Layout, tell: Callable[[str], None]) -> Iterator[None]:
    """One at a time; a second one waits, and says so."""
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another scripts/cluster is at work; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def progress_since(begin: float) -> Callable[[str], None]:
    """Say with the seconds since `begin`."""
    return lambda text: say(f"[{time.monotonic() - begin:5.1f} s] {text}")


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Run a command; returns its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        return int(cli.main(prog_name="scripts/cluster", standalone_mode=False) or 0)
    except HoldfastError as error:
        say(f"error: {error}")
        return error.code
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return ExitCode.INTERRUPTED


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
