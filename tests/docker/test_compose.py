"""The compose file's structure: who sees what, and what a process in a container may do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SITES = ("north", "east", "site")
HOME, CACHE = "/var/lib/fedthaw/site", "/var/cache/fedthaw"


def _mounts(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Target -> (source, whether it is read-only)."""
    parts = [
        volume.rsplit(":", 2 if volume.endswith(":ro") else 1) for volume in service["volumes"]
    ]
    return {part[1]: (part[0], len(part) == 3) for part in parts}


def test_the_services_are_these(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"setup", "server", *SITES}
    assert {name for name in services if "profiles" in services[name]} == {"site"}
    assert services["site"]["profiles"] == ["site"]


def test_no_process_may_more_than_it_needs(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["user"] == "10001:10001", name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"], name
        assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(service), name
    networks = {name: s["network_mode"] for name, s in compose["services"].items()
                if "network_mode" in s}  # fmt: skip
    assert networks == {"setup": "none"}


def test_only_the_port_for_sites_is_published(compose: dict[str, Any]) -> None:
    published = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}
    assert published == {"server": ["127.0.0.1:8443:8443"]}


@pytest.mark.parametrize("name", SITES)
def test_a_site_reads_its_own_data_only_and_writes_its_own_folders(
    compose: dict[str, Any], name: str
) -> None:
    mounts = _mounts(compose["services"][name])
    data = "${FEDTHAW_DATA:-./data}" if name == "site" else f"{name}-data"
    assert mounts == {
        "/data": (data, True),
        HOME: (f"{name}-home", False),
        CACHE: (f"{name}-cache", False),
    }


def test_the_server_sees_nothing_of_a_site(compose: dict[str, Any]) -> None:
    assert _mounts(compose["services"]["server"]) == {
        "/var/lib/fedthaw/coordinator": ("coordinator", False),
        CACHE: ("server-cache", False),
    }


def test_every_named_volume_is_declared(compose: dict[str, Any]) -> None:
    used = {source for service in compose["services"].values() for source, _ in
            _mounts(service).values() if not source.startswith("$")}  # fmt: skip
    assert used == set(compose["volumes"])


def test_all_of_the_demo_waits_for_its_setup(compose: dict[str, Any]) -> None:
    for name in ("server", "north", "east"):
        assert compose["services"][name]["depends_on"] == {
            "setup": {"condition": "service_completed_successfully"}
        }
    assert "depends_on" not in compose["services"]["site"]
    assert "restart" not in compose["services"]["setup"]


def test_health_is_served_where_the_image_asks_for_it(compose: dict[str, Any]) -> None:
    for name in ("server", *SITES):
        service = compose["services"][name]
        assert service["command"][-2:] == ["--health", "127.0.0.1:9080"]
        assert "healthcheck" not in service  # the image's own


def test_a_real_site_gets_the_gpus(compose: dict[str, Any]) -> None:
    devices = compose["services"]["site"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]
    assert all("deploy" not in compose["services"][name] for name in ("north", "east"))


def test_builds_name_files_and_stages_that_exist(
    compose: dict[str, Any], docker_folder: Path
) -> None:
    for service in compose["services"].values():
        build = service["build"]
        context = docker_folder / build["context"]
        dockerfile = (context / build["dockerfile"]).read_text(encoding="utf-8")
        if "target" in build:
            assert f" AS {build['target']}\n" in dockerfile


def _compose_command() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            tried = subprocess.run([*command, "version"], capture_output=True, check=False)
            if tried.returncode == 0:
                return command
    return []


def test_docker_compose_reads_it(docker_folder: Path) -> None:
    if not (command := _compose_command()):
        pytest.skip("neither `docker compose` nor `docker-compose` is installed here")
    done = subprocess.run(
        [*command, "-f", str(docker_folder / "compose.yaml"), "--profile", "site", "config"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "docker/client.Dockerfile" in done.stdout
