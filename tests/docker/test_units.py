"""The systemd units: what they start, and what the process may touch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = {
    "fedthaw-server.service": "/var/lib/fedthaw/coordinator",
    "fedthaw-site@.service": "/var/lib/fedthaw/sites/%i",
}
COMMAND = "/opt/fedthaw/bin/fedthaw"
Unit = dict[str, list[str]]


def _read(path: Path) -> Unit:
    """Setting -> its values; systemd lets a setting stand several times, configparser does not."""
    found: Unit = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            key, equals, value = line.partition("=")
            assert equals, line
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_hardened(docker_folder: Path, name: str) -> None:
    unit = _read(docker_folder / "systemd" / name)
    for key, value in {
        "User": "fedthaw", "NoNewPrivileges": "yes", "ProtectSystem": "strict",
        "ProtectHome": "yes", "PrivateTmp": "yes", "CapabilityBoundingSet": "",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "UMask": "0077",
        "Restart": "on-failure", "RestartPreventExitStatus": "2",
    }.items():  # fmt: skip
        assert unit[key] == [value], key
    assert int(unit["RestartSec"][0]) >= 1
    assert unit["ReadWritePaths"] == [UNITS[name]]


def test_a_site_keeps_its_gpu_and_its_data_as_they_are(docker_folder: Path) -> None:
    unit = _read(docker_folder / "systemd" / "fedthaw-site@.service")
    assert unit["ExecStart"] == [f"{COMMAND} site run /srv/fedthaw/%i"]
    assert unit["ReadOnlyPaths"] == unit["RequiresMountsFor"] == ["/srv/fedthaw/%i"]
    assert not {"PrivateDevices", "ProtectClock", "DevicePolicy", "DeviceAllow"} & set(unit)


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_names_its_folder_the_same_way_everywhere(docker_folder: Path, name: str) -> None:
    unit, folder = _read(docker_folder / "systemd" / name), UNITS[name]
    environment = dict(value.split("=") for value in unit["Environment"])
    variable = "FEDTHAW_SITE_HOME" if "@" in name else "FEDTHAW_COORDINATOR"
    assert environment[variable] == folder
    assert unit["ConditionPathExists"][0].startswith(f"{folder}/")
    assert environment["FEDTHAW_CACHE"] == f"/var/cache/{unit['CacheDirectory'][0]}"


@pytest.mark.parametrize("name", UNITS)
def test_systemd_reads_it(docker_folder: Path, tmp_path: Path, name: str) -> None:
    """With a command that exists here in the place of the installed one."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed here")
    text = (docker_folder / "systemd" / name).read_text(encoding="utf-8")
    here = str(Path(sys.executable).parent / "fedthaw")
    (tmp_path / name).write_text(re.sub(re.escape(COMMAND), here, text), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)],
        capture_output=True, text=True, check=False, env=os.environ | {"SYSTEMD_LOG_LEVEL": "info"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_strangers_do_not_use_up_the_servers_connections(docker_folder: Path) -> None:
    unit = _read(docker_folder / "systemd" / "fedthaw-server.service")
    assert int(unit["LimitNOFILE"][0]) >= 2**16
