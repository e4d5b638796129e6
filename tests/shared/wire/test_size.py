"""The computed size of a message against the message itself."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common.serde import recorddict_to_proto

from shared.model.exchanged import exchanged_keys
from shared.model.network import build_network
from shared.model.registry import backbone_of
from shared.protocol.sent_model import SentModel
from shared.protocol.train import TrainRequest
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round
from shared.wire.arrays import manifest_of, to_record
from shared.wire.size import serialized_size

STAGES = backbone_of("micro").stages


def real_size(content: RecordDict) -> int:
    return len(recorddict_to_proto(content).SerializeToString())


def tensors(*shapes: tuple[int, ...]) -> ArrayRecord:
    return to_record({f"tensor{i}": np.ones(s, np.float32) for i, s in enumerate(shapes)})


@pytest.mark.parametrize(
    "shapes",
    [[()], [(0,)], [(1,)], [(7,), (3, 3)], [(200, 200)] * 5, [(1024, 1024)], [(2, 3)] * 300],
    ids=str,
)
def test_tensors(shapes: list[tuple[int, ...]]) -> None:
    content = RecordDict({"arrays": tensors(*shapes)})
    assert 0 <= real_size(content) - serialized_size(content) < 20 * len(shapes)


def test_without_tensors_it_is_exact() -> None:
    content = RecordDict(
        {
            "config": ConfigRecord(
                {"name": "north", "rounds": 7, "flags": [True], "raw": b"x" * 9}
            ),
            "metrics": MetricRecord({"counts": list(range(514)), "loss": 0.5}),
        }
    )
    assert serialized_size(content) == real_size(content)
    assert serialized_size(RecordDict()) == real_size(RecordDict()) == 0


def test_a_whole_request() -> None:
    model = build_network("micro")
    state = model.state_dict()
    keys = exchanged_keys(model, STAGES, "average")
    arrays = {key: state[key].numpy() for key in keys}
    content = TrainRequest(
        run="r1",
        base="sha256:0",
        plan=plan_round(RunConfig(schedule="full"), 12),
        expects=tuple(spec.to_line() for spec in manifest_of(arrays)),
        model=SentModel(12, STAGES, (64 * "a",) * len(STAGES), (), STAGES, to_record(arrays)),
    ).to_content()
    assert 0 <= real_size(content) - serialized_size(content) < 20 * len(keys)


def test_the_content_stays_as_it_is() -> None:
    content = RecordDict({"arrays": tensors((5, 5)), "config": ConfigRecord({"a": 1})})
    before = recorddict_to_proto(content).SerializeToString()
    serialized_size(content)
    assert recorddict_to_proto(content).SerializeToString() == before
