"""Starts that are refused, with one clear line; what a start costs."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support import services

GATEWAY = {"ENGINE_ADDRESS": "127.0.0.1:9", "ENGINE_AUTHORITY": "engine.internal", "REDIS_URL": "redis://127.0.0.1:9/0"}
ENGINE = {"DATABASE_URL": "postgresql://holdfast@127.0.0.1:9/none"}
MORE = {"gateway": GATEWAY, "engine": ENGINE}


def told(name: str, config: Path) -> dict[str, str]:
    """A complete environment."""
    ports = {"SERVICE_PORT": str(services.free_port()), "SERVICE_ADMIN_PORT": str(services.free_port())}
    return {**services.service_environ(f"{name}-blue-1"), **ports, **MORE[name], "SERVICE_CONFIG": str(config)}


def refused(name: str, environ: dict[str, str]) -> tuple[int, str]:
    """Exit code and stderr."""
    argv = [sys.executable, "-P", "-m", f"services.{name}"]
    ended = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=20)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("gateway", "SERVICE_PORT"),
        ("gateway", "SERVICE_INSTANCE"),
        ("gateway", "ENGINE_AUTHORITY"),
        ("engine", "SERVICE_ADMIN_PORT"),
        ("engine", "DATABASE_URL"),
    ],
)
def test_a_missing_variable_is_named_in_one_line(name: str, variable: str, config: Path) -> None:
    environ = told(name, config)
    del environ[variable]
    code, said = refused(name, environ)
    assert code == 2
    assert said.startswith(f"{name}: {variable} is not set")
    assert said.count("\n") == 1


def test_a_port_that_is_no_port_is_named(config: Path) -> None:
    code, said = refused("gateway", told("gateway", config) | {"SERVICE_PORT": "http"})
    assert (code, said.count("\n")) == (2, 1)
    assert "SERVICE_PORT must be a port" in said


@pytest.mark.parametrize(("name", "variable"), [("gateway", "REDIS_URL"), ("engine", "DATABASE_URL")])
def test_an_address_that_is_none_is_named_in_one_line(name: str, variable: str, config: Path) -> None:
    code, said = refused(name, told(name, config) | {variable: "nonsense here"})
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith(f"{name}: {variable}: ")


@pytest.mark.parametrize("name", ["gateway", "engine"])
def test_a_taken_port_is_named_in_one_line(name: str, config: Path) -> None:
    environ = told(name, config)
    with socket.socket() as taken:
        taken.bind((services.HOST, int(environ["SERVICE_PORT"])))
        taken.listen()
        code, said = refused(name, environ)
    assert code == 1
    lines = [line for line in said.splitlines() if line.startswith(f"{name}: cannot listen on")]
    assert len(lines) == 1
    assert environ["SERVICE_PORT"] in lines[0]


@pytest.mark.parametrize(
    ("section", "key", "value"), [("stream", "tokens", "many"), ("stream", "tokns", 1), ("latency", "sigma", None)]
)
def test_a_wrong_config_is_refused_by_its_key(tmp_path: Path, section: str, key: str, value: object) -> None:
    config = services.write_config(tmp_path / "config.json", **{section: {key: value}})
    code, said = refused("engine", told("engine", config))
    assert (code, said.count("\n")) == (2, 1)
    assert str(config) in said
    assert key in said


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    code, said = refused("engine", told("engine", tmp_path / "no.json"))
    assert (code, said.count("\n")) == (2, 1)
    assert "No such file" in said


def test_a_start_costs_little_and_is_told_in_one_line(gateway: services.Service, engine: services.Service) -> None:
    for service in (gateway, engine):
        started = [event for event in service.events() if event["event"] == "started"]
        assert len(started) == 1
        assert float(str(started[0]["start_cpu_s"])) < 2.0
        assert service.child.output().splitlines()[0] == json.dumps(started[0], separators=(",", ":"))
