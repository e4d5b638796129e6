"""A site's working process with faults: the real one's file, with these before its modules."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
# The tests run what this tree has, and so do the processes that they start.
WORKER = HERE.parents[3] / "client" / "node" / "worker.py"


def _module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _spoilt(install: Callable[..., Any], spoiler: type) -> Callable[..., Any]:
    def first(*given: Any) -> Any:
        own = install(*given)
        # The bundle's modules are found by a finder that was put before all others.
        sys.meta_path.insert(0, spoiler())
        return own

    return first


if __name__ == "__main__":
    faults = _module("sitecustomize", HERE / "sitecustomize.py")
    worker = _module("worker", WORKER)
    vars(worker)["install"] = _spoilt(worker.install, faults.Spoiler)
    worker.main()
