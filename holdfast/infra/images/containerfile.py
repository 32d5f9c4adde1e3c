"""The same image as a Containerfile, for those who build with a container engine: made from the description."""

from __future__ import annotations

from pathlib import Path

from holdfast.infra.images.description import BIN, LIB, RELEASE, Description
from holdfast.infra.images.rootfs import install_argv

HEAD = """\
# Made from image.yaml by `scripts/cluster containerfile`; a test compares the two.
# Build context: a checkout in which `holdfast release build VERSION` has run.
#   podman build --file infra/images/Containerfile --build-arg RELEASE=.holdfast/releases/VERSION --tag NAME .
"""


def containerfile(description: Description) -> str:
    """The text of infra/images/Containerfile."""
    user = description.user
    return "\n".join(
        [
            HEAD,
            f"FROM debian:{description.debian}-slim AS base",
            f"RUN apt-get update && apt-get install -y --no-install-recommends {' '.join(description.packages)} \\",
            f" && groupadd --gid {user.id} {user.name} \\",
            f" && useradd --uid {user.id} --gid {user.id} --home-dir /tmp --shell /usr/sbin/nologin {user.name} \\",
            f" && rm -rf {' '.join(f'/{name}/*' for name in description.remove)}",
            "",
            "FROM base AS packages",
            "RUN apt-get update && apt-get install -y --no-install-recommends python3-venv",
            "COPY pyproject.toml requirements.lock /build/",
            "RUN python3 -m venv /build/venv && /build/venv/bin/pip install uv",
            f"RUN {' '.join(_install(description))}",
            f"RUN rm -rf /{LIB}/bin && mkdir -p /{BIN} \\",
            *_links(description),
            f" && python3 -m compileall -q --invalidation-mode unchecked-hash /{LIB}",
            "",
            "FROM base",
            "ARG RELEASE=.holdfast/releases/v1",
            f"COPY --from=packages /{LIB} /{LIB}",
            f"COPY --from=packages /{BIN} /{BIN}",
            f"COPY ${{RELEASE}} /{RELEASE}",
            f"RUN python3 -m compileall -q --invalidation-mode unchecked-hash /{RELEASE}",
            *(f'ENV {name}="{value}"' for name, value in description.env.items()),
            *(f'LABEL {name}="{value}"' for name, value in description.labels.items()),
            f"USER {user.id}:{user.id}",
            "WORKDIR /",
            'CMD ["python", "-P", "-m", "services.gateway"]',
            "",
        ]
    )


def _install(description: Description) -> list[str]:
    """The builder's own command with the paths of the build stage; there, Python is the image's by itself."""
    argv = install_argv(description, Path(f"/{LIB}"), Path("/build"))
    skipped = {"--python-version", "--python-platform", "--python"}
    kept = [part for before, part in zip(["", *argv], argv, strict=False) if not {before, part} & skipped]
    return ["/build/venv/bin/uv", *kept[1:]]


def _links(description: Description) -> list[str]:
    return [f" && ln -s {target} /{BIN}/{program} \\" for program, target in description.programs.items()]
