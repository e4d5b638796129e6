"""What other programs and people's scripts rely on: settings, exit codes, the contract."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import RecordDict

from shared import errors
from shared.metrics.histogram import SCORE_BINS
from shared.model.registry import backbone_of
from shared.protocol import candidates, compare, describe, evaluate, train
from shared.protocol.records import PROTOCOL_VERSION
from shared.settings.config import RunConfig
from shared.wire.arrays import to_record
from shared.wire.packing import pack

STAGES = backbone_of("micro").stages

SETTINGS: dict[str, bool | int | float | str] = {
    "weights": "xrv",
    "weights-sha256": "",
    "image-size": 512,
    "schedule": "adaptive",
    "rounds": 20,
    "probe-rounds": 10,
    "local-epochs": 1,
    "thaw-at": "0.1,0.3,0.6",
    "unfreeze-layer4": 0.10,
    "unfreeze-layer3": 0.30,
    "unfreeze-layer2": 0.60,
    "lr-head": 1e-3,
    "rates": "0.0005,0.00025,0.0001",
    "lr-layer4": 5e-4,
    "lr-layer3": 2.5e-4,
    "lr-layer2": 1e-4,
    "lr-probe": 1e-3,
    "batch-size": 8,
    "cutmix-probability": 0.5,
    "cutmix-alpha": 1.0,
    "strategy": "fedavg",
    "proximal-mu": 0.0,
    "batch-norm": "average",
    "update-dtype": "int8",
    "min-sites": 2,
    "round-timeout": 3600,
    "reconnect-wait": 120,
    "retries": 2,
    "validation-fraction": 0.2,
    "seed": 0,
}


@pytest.mark.parametrize("key", SETTINGS)
def test_a_setting_keeps_its_name_and_default(key: str) -> None:
    value = RunConfig().to_flat()[key]
    assert (type(value), value) == (type(SETTINGS[key]), SETTINGS[key])


def test_settings_with_a_choice_keep_their_values() -> None:
    for key, choices in {
        "schedule": ["progressive", "full", "probe", "dual", "dynamics", "adaptive", "logistic"],
        "batch-norm": ["average", "local", "frozen"],
        "update-dtype": ["float32", "float16", "int8"],
    }.items():
        field = RunConfig.__dataclass_fields__[key.replace("-", "_")]
        assert list(field.metadata["choices"]) == choices


def test_exit_codes() -> None:
    raised = [
        getattr(errors, name) for name in dir(errors) if isinstance(getattr(errors, name), type)
    ]
    codes = {e.__name__: e.exit_code for e in raised if issubclass(e, errors.FedThawError)}
    assert codes == {
        "FedThawError": 1,
        "UserError": 2,
        "ConfigError": 2,
        "SiteError": 2,
        "WeightsError": 2,
        "ImageRejected": 1,
        "ProtocolError": 1,
        "RunError": 1,
    }


def test_an_error_does_not_travel_unless_it_is_meant_to() -> None:
    secret = "/data/north/labels.csv: Jane Doe"
    for kind in (errors.FedThawError, errors.SiteError, errors.ConfigError, errors.WeightsError):
        assert "north" not in kind(secret).shareable
        assert kind(secret, shareable="short").shareable == "short"
    assert errors.ProtocolError("a tensor is missing").shareable == "a tensor is missing"


def test_the_contract_of_version_9() -> None:
    """A change here breaks sites that still run the version before: raise PROTOCOL_VERSION."""
    assert PROTOCOL_VERSION == 9
    assert SCORE_BINS == 514
    assert STAGES == ("stem", "layer1", "layer2", "layer3", "layer4", "head")
    assert [m.MESSAGE_TYPE for m in (describe, train, evaluate, candidates, compare)] == [
        "query",
        "train",
        "evaluate",
        "evaluate.candidates",
        "evaluate.compare",
    ]
    request = describe.DescribeRequest("r1").to_content()
    assert request == RecordDict({"describe": request["describe"]})
    assert dict(request.config_records["describe"]) == {"protocol": 9, "run": "r1"}
    packed = pack(to_record({"w": np.ones((1, 2), np.float32)}))
    assert list(packed) == ["index", "block"]
    assert packed["index"].data == b'[["w","float32",[1,2],"numpy.ndarray",136]]'
    assert packed["block"].data[-8:] == np.ones(2, "<f4").tobytes()
