"""Faults for the processes of the tests: Python imports this where PYTHONPATH names its folder.

`FEDTHAW_TEST_FAULTS` is a JSON object:
`site`, `round`, `times`, `act`: when this site trains this round, the first so many times, it
raises, sends NaN (`nan`) or waits for ever (`wait`);
`final`: the final evaluation waits for ever;
`stall`: the process waits for ever before it puts a file of this name in place;
`full`: a file of this name does not fit on the disk;
`seen`: a file that is made when the process begins to wait for ever.
"""

from __future__ import annotations

import dataclasses
import errno
import importlib.abc
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

FAULTS: dict[str, Any] = json.loads(os.environ.get("FEDTHAW_TEST_FAULTS", "{}"))


def _wait() -> None:
    Path(FAULTS["seen"]).touch()
    while True:
        time.sleep(1)


def _spoil_training(train: Callable[..., Any]) -> Callable[..., Any]:
    left = [FAULTS.get("times", 1)]

    def spoilt(workspace: Any, config: Any, request: Any) -> Any:
        here = (workspace.name, request.plan.round) == (FAULTS["site"], FAULTS["round"])
        if not here or left[0] == 0:
            return train(workspace, config, request)
        left[0] -= 1
        if FAULTS["act"] == "wait":
            _wait()
        if FAULTS["act"] == "raise":
            raise RuntimeError("the detector caught fire")
        reply = train(workspace, config, request)
        delta = {key: value.copy() for key, value in reply.delta.items()}
        next(iter(delta.values())).flat[0] = float("nan")
        return dataclasses.replace(reply, delta=delta)

    return spoilt


def _spoil(module: ModuleType) -> None:
    if "act" in FAULTS:
        vars(module)["train_on_site"] = _spoil_training(vars(module)["train_on_site"])
    if FAULTS.get("final"):
        vars(module)["evaluate_on_site"] = lambda *_: _wait()


class _Handlers(importlib.abc.MetaPathFinder):
    """Loads client.handlers as everybody would, and then spoils it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of client.handlers, None for any other module."""
        if fullname != "client.handlers":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def load_and_spoil(module: ModuleType) -> None:
            load(module)
            _spoil(module)

        vars(spec.loader)["exec_module"] = load_and_spoil
        return spec


def _spoil_disk(stall: str | None, full: str | None) -> None:
    replace = os.replace

    def spoilt(source: Any, target: Any) -> None:
        if Path(target).name == stall:
            _wait()
        if Path(target).name == full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    vars(os)["replace"] = spoilt


if FAULTS:
    sys.meta_path.insert(0, _Handlers())
    _spoil_disk(FAULTS.get("stall"), FAULTS.get("full"))
