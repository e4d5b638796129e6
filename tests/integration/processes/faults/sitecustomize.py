"""Faults for the processes of the tests: Python imports this where PYTHONPATH names its folder.

A deployed site's working process is started so that it does not; `spoilt_worker.py` imports it.

`FEDTHAW_TEST_FAULTS` is a JSON object:
`site`, `round`, `times`, `act`: when this site trains this round (0: any), so many times, it
raises, sends NaN (`nan`), an update of 1e15 (`huge`) or half a billion images (`images`), waits for
ever (`wait`), or kills its own process (`die`);
`site`, `hold`, `gate`: when this site trains one of these rounds, it makes the file GATE-ROUND-held
and waits until there is a file GATE-ROUND-open;
`final`: the final evaluation waits for ever;
`upload`: a site's client waits for ever in the middle of so manieth reply, at its second part;
`ask`: a site's client lets the coordinator hold its questions for so many seconds;
`aggregate`: the coordinator waits for ever when it combines the replies of this round;
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
import signal
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
        here = workspace.name == FAULTS["site"] and FAULTS["round"] in (0, request.plan.round)
        if not here or left[0] == 0:
            return train(workspace, config, request)
        left[0] -= 1
        if FAULTS["act"] == "wait":
            _wait()
        if FAULTS["act"] == "die":
            if Path(FAULTS["seen"]).exists():
                return train(workspace, config, request)
            Path(FAULTS["seen"]).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if FAULTS["act"] == "raise":
            raise RuntimeError(FAULTS.get("text", "the detector caught fire"))
        reply = train(workspace, config, request)
        if FAULTS["act"] == "images":
            return dataclasses.replace(reply, images=2**29 - 1)
        value = 1e15 if FAULTS["act"] == "huge" else float("nan")
        return dataclasses.replace(reply, delta=_with_a_tensor_of(value, reply.delta))

    return spoilt


def _hold_training(train: Callable[..., Any]) -> Callable[..., Any]:
    def held(workspace: Any, config: Any, request: Any) -> Any:
        if workspace.name == FAULTS["site"] and request.plan.round in FAULTS["hold"]:
            gate = f"{FAULTS['gate']}-{request.plan.round}"
            Path(f"{gate}-held").touch()
            while not Path(f"{gate}-open").exists():
                time.sleep(0.05)
        return train(workspace, config, request)

    return held


def _with_a_tensor_of(value: float, delta: Any) -> Any:
    """The tensors, the first that is sent in float32 of this value.

    Imported here: nothing is there at first.
    """
    import numpy as np
    from flwr.app import Array, ArrayRecord

    plain = Array(np.zeros(1, np.float32)).stype
    name, first = next((n, array) for n, array in delta.items() if array.stype == plain)
    return ArrayRecord({**delta, name: Array(np.full(first.shape, value, np.float32))})


def _spoil_train(module: ModuleType) -> None:
    spoil = _hold_training if "hold" in FAULTS else _spoil_training
    vars(module)["train_on_site"] = spoil(vars(module)["train_on_site"])


def _spoil_evaluate(module: ModuleType) -> None:
    vars(module)["evaluate_on_site"] = lambda *_: _wait()


def _spoil_upload(module: ModuleType) -> None:
    # Replies are counted, since a part that the coordinator has from elsewhere is not sent.
    client = vars(module)["FleetHttpClient"]
    announce, push = client.PushMessages, client.PushObject
    replies: set[str] = set()
    parts = [0]

    def announced(self: Any, request: Any) -> Any:
        replies.update(one.metadata.reply_to_message_id for one in request.messages_list)
        return announce(self, request)

    def pushed(self: Any, request: Any) -> Any:
        if len(replies) == FAULTS["upload"]:
            parts[0] += 1
            if parts[0] == 2:
                _wait()
        return push(self, request)

    client.PushMessages, client.PushObject = announced, pushed


def _spoil_questions(module: ModuleType) -> None:
    vars(module)["WAIT_LIMIT"] = FAULTS["ask"]


def _spoil_aggregation(module: ModuleType) -> None:
    collector = vars(module)["Collector"]
    result = collector.result

    def spoilt(self: Any) -> Any:
        if self._round == FAULTS["aggregate"]:
            _wait()
        return result(self)

    collector.result = spoilt


def _spoil_resident(module: ModuleType) -> None:
    """A site's working process hears nothing of PYTHONPATH, so it is started by another file."""
    vars(module)["WORKER"] = Path(__file__).with_name("spoilt_worker.py")


_SPOILT: dict[str, Callable[[ModuleType], None]] = {}
if FAULTS:
    _SPOILT["client.node.resident"] = _spoil_resident
if "act" in FAULTS or "hold" in FAULTS:
    _SPOILT["client.handlers.train"] = _spoil_train
if FAULTS.get("final"):
    _SPOILT["client.handlers.evaluate"] = _spoil_evaluate
if "upload" in FAULTS:
    _SPOILT["flwr.supernode.fleet_http_client"] = _spoil_upload
if "ask" in FAULTS:
    _SPOILT["client.node.calls"] = _spoil_questions
if "aggregate" in FAULTS:
    _SPOILT["server.aggregation.collector"] = _spoil_aggregation


class Spoiler(importlib.abc.MetaPathFinder):
    """Loads these modules as everybody would, and then spoils them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of a module to spoil, None for any other."""
        if fullname not in _SPOILT:
            return None
        spoil = _SPOILT.pop(fullname)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def load_and_spoil(module: ModuleType) -> None:
            load(module)
            if module.__name__ == fullname:  # a loader may be that of other modules too
                spoil(module)

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
    sys.meta_path.insert(0, Spoiler())
    _spoil_disk(FAULTS.get("stall"), FAULTS.get("full"))
