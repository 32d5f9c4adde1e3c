"""holdfast release build | list"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.pipelines.cli.options import AS_JSON, HOME, QUIET, STACK, TARGET

if TYPE_CHECKING:
    from holdfast.infra.targets.kept import TargetName


@click.group()
def release() -> None:
    """Build and list releases."""


@release.command(epilog="\b\nExamples:\n  holdfast release build v1\n  holdfast release build v2 --from services/\n"
                        "  holdfast release build bad --plant errors-20\n"
                        "  holdfast release build v3 --image registry.example/shop@sha256:…")  # fmt: skip
@STACK
@HOME
@AS_JSON
@click.argument("version")
@click.option("--from", "source", help="The folder with the services and their release.yaml.")
@click.option("--plant", default="", help="Wrap a known fault around the services, to see it caught.")
@QUIET
@TARGET
@click.option("--image", default="", help="On a cluster: the image that you have pushed, by its digest.")
def build(
    stack: str | None,
    home: str,
    as_json: bool,
    version: str,
    source: str | None,
    plant: str,
    quiet: bool,
    target: TargetName | None,
    image: str,
) -> None:
    """Copy the services into a read-only release and print its hash.

    For a cluster its image is built too, and loaded into a cluster of scripts/cluster, unless --image names one.
    """
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.releases import build

    built = build(stack, home, version, source=source, plant=plant, target=target, image=image, quiet=quiet)
    if as_json:
        print_json(built)
    else:
        click.echo(f"{built.version} {built.digest}{' ' + built.image if built.image else ''}")


@release.command("list")
@HOME
@AS_JSON
def list_(home: str, as_json: bool) -> None:
    """List the built releases, oldest first."""
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.releases import built_releases

    found = built_releases(home)
    if as_json:
        print_json(found)
        return
    for one in found:
        click.echo(f"{one.version} {one.digest[:12]}{' planted: ' + one.manifest.plant if one.manifest.plant else ''}")
    if not found:
        click.echo("nothing is built yet: holdfast release build v1")
