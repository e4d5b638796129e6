"""A message's content after the wire, and what can be broken in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from flwr.app import ConfigRecord, MetricRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as ProtoRecordDict

Content = Callable[[RecordDict], RecordDict]
Damages = Callable[[RecordDict], Iterator[tuple[str, RecordDict]]]


@pytest.fixture(scope="session")
def on_the_wire() -> Content:
    """The content as the other side receives it."""

    def send(content: RecordDict) -> RecordDict:
        data = recorddict_to_proto(content).SerializeToString()
        return recorddict_from_proto(ProtoRecordDict.FromString(data))

    return send


@pytest.fixture(scope="session")
def damaged() -> Damages:
    """The content with one thing missing or mistyped, each in turn, with what it is."""

    def damage(content: RecordDict) -> Iterator[tuple[str, RecordDict]]:
        for name, record in content.items():
            yield f"no record {name}", _without(content, name)
            replaced = copy.deepcopy(content)
            replaced[name] = ConfigRecord() if isinstance(record, MetricRecord) else MetricRecord()
            yield f"another kind of record {name}", replaced
            for key in record:
                yield f"{name} without {key}", _without(content, name, key)
            if isinstance(record, ConfigRecord | MetricRecord):
                for key in record:
                    for value in _wrong_values(record, key):
                        changed = copy.deepcopy(content)
                        cast(Any, changed[name])[key] = value
                        yield f"{name} with {key} = {value!r}", changed

    return damage


def _without(content: RecordDict, name: str, key: str | None = None) -> RecordDict:
    copied = copy.deepcopy(content)
    if key is None:
        del copied[name]
    else:
        del copied[name][key]
    return copied


def _wrong_values(record: ConfigRecord | MetricRecord, key: str) -> list[object]:
    value = record[key]
    wrong: list[object] = [1] if isinstance(value, list) else [[value]]
    if isinstance(value, list):
        wrong.append([-1])
    elif isinstance(value, bool):
        wrong.append(1)
    elif isinstance(value, int):
        wrong += [value + 0.5, -1]
    elif isinstance(value, float):
        wrong += [float("nan"), float("inf"), -1.0]
    if isinstance(record, ConfigRecord):
        wrong += [b"raw", 17.5] if not isinstance(value, float) else [b"raw", "text", True]
        if isinstance(value, int):
            wrong.append(str(value))
        if isinstance(value, list):
            wrong += [[b"raw"], [True] * len(value)]
    return wrong
