"""Builds what a release consists of into dist/: wheel, sdist, SBOM, checksums. `make release`.

The same commit and tools give the same bytes: times are those of the commit, members are sorted.
Only what is committed gets in. Check a download with `sha256sum --check SHA256SUMS`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"


def main() -> None:
    """Build, normalise, describe, sum up."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct"))
    shutil.rmtree(DIST, ignore_errors=True)
    with _sources() as folder:
        subprocess.run(
            [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(DIST), folder],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(seconds)},
        )  # fmt: skip
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    _normalise(sdist, seconds)
    sbom = wheel.with_name(wheel.name.split("-py")[0] + ".cdx.json")
    sbom.write_text(_sbom(), encoding="utf-8")
    files = sorted((wheel, sdist, sbom))
    sums = "".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files)
    (DIST / "SHA256SUMS").write_text(sums, encoding="ascii")
    print(sums, end="")
    with zipfile.ZipFile(wheel) as archive:
        print(f"{len(archive.namelist())} files in the wheel")


@contextmanager
def _sources() -> Iterator[str]:
    """The tracked files as committed, in a folder of their own: nothing else gets in."""
    folder = ROOT / "build" / "release"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "archive", "--format=tar", "HEAD"], cwd=ROOT, check=True, capture_output=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _normalise(sdist: Path, seconds: int) -> None:
    """Rewrite an sdist with sorted members of one time and no owner."""
    plain = io.BytesIO()
    with tarfile.open(sdist) as old, tarfile.open(fileobj=plain, mode="w") as new:
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            member.mtime, member.uid, member.gid = seconds, 0, 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    with sdist.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=seconds) as packed:
        packed.write(plain.getvalue())


def _sbom() -> str:
    """CycloneDX 1.6: FedThaw, and all that it installs, in the versions of this environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    root = Component(
        name=project["name"], version=project["version"], type=ComponentType.APPLICATION,
        bom_ref=project["name"], licenses=[LicenseFactory().make_from_string(project["license"])],
    )  # fmt: skip
    installed = {name: _component(name) for name in _closure(project["dependencies"])}
    bom = Bom(components=installed.values())
    bom.metadata.component = root
    bom.register_dependency(root, [installed[n] for n in _direct(project["dependencies"])])
    for name, component in installed.items():
        needs = [installed[n] for n in _direct(distribution(name).requires or [])]
        bom.register_dependency(component, needs)
    # Both would differ from build to build.
    bom.metadata.timestamp = None  # type: ignore[assignment]
    bom.serial_number = None  # type: ignore[assignment]
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    return outputter.output_as_string(indent=1) + "\n"


def _component(name: str) -> Component:
    found = distribution(name)
    told = found.metadata.json
    text = str(told.get("license_expression") or told.get("license") or "")
    licences = [LicenseFactory().make_from_string(text)] if text and "\n" not in text else []
    return Component(
        name=name, version=found.version, type=ComponentType.LIBRARY, bom_ref=name,
        purl=PackageURL("pypi", name=name, version=found.version), licenses=licences,
    )  # fmt: skip


def _closure(requirements: list[str]) -> list[str]:
    """The names of all that these requirements install here, sorted."""
    found: set[str] = set()
    waiting = list(_direct(requirements))
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += _direct(distribution(name).requires or [])
    return sorted(found)


def _direct(requirements: list[str]) -> Iterator[str]:
    """Those that hold in this environment and are there, without extras."""
    for text in requirements:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            try:
                distribution(name)
            except PackageNotFoundError:
                sys.exit(f"{name} is required and not installed; run `make release` again.")
            yield name


if __name__ == "__main__":
    main()
