"""Prints docker/constraints.txt: what `pip install .` has installed here, and nothing else.

.venv/bin/python docker/constraints.py > docker/constraints.txt
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEADER = """\
# Versions of everything that the images install: the run-time dependencies of fedthaw and theirs,
# as tested, without the tools of development. Remade, after an upgrade that passed the tests, by
#   .venv/bin/python docker/constraints.py > docker/constraints.txt
"""


PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def pins(dependencies: list[str]) -> dict[str, str]:
    """Name -> version of all that these need here, extras and platform markers followed."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [("", text) for text in dependencies]  # the extra that asks, and what it asks for
    while waiting:
        extra, text = waiting.pop()
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(needed.name)
        installed = distribution(name)
        found[name] = installed.version
        for wanted in ("", *needed.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(wanted, one) for one in installed.requires or ()]
    return found


if __name__ == "__main__":
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    lines = [
        f"{name}=={version}\n" for name, version in sorted(pins(project["dependencies"]).items())
    ]
    sys.stdout.write(HEADER + "".join(lines))
