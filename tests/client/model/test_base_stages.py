from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping
from itertools import combinations

import pytest
import torch
from torch import Tensor

from client.model.frozen import (
    base_units,
    digest_of_base,
    digest_of_frozen,
)
from shared.model.freezing import frozen_digest, state_digest
from shared.model.network import Network
from shared.model.pretrained import Base
from shared.model.registry import backbone_of

STAGES = backbone_of("micro").stages
units_of = backbone_of("micro").units_of
UNITS = units_of(STAGES)

MakeModel = Callable[..., Network]


def base_of(model: Network) -> Base:
    state: Mapping[str, Tensor] = {k: v.clone() for k, v in model.state_dict().items()}
    return Base(state, state_digest(state), "a test", "", True, model.backbone)


@pytest.mark.parametrize(
    ("key", "stage"),
    [
        ("conv1.weight", "stem"),
        ("bn1.running_var", "stem"),
        ("layer2.0.bn1.num_batches_tracked", "layer2"),
        ("layer4.0.downsample.1.bias", "layer4"),
        ("fc.bias", "head"),
    ],
)
def test_one_bit_is_enough(make_model: MakeModel, key: str, stage: str) -> None:
    model = make_model()
    base = base_of(model)
    assert base_units(model, base) == UNITS
    with torch.no_grad():
        value = model.state_dict()[key].view(-1)
        value[-1:] = (
            torch.nextafter(value[-1:], torch.tensor(torch.inf))
            if value.is_floating_point()
            else value[-1:] + 1
        )
    assert base_units(model, base) == UNITS - units_of([stage])
    assert base_units(model, base, ["layer1", stage]) == units_of(["layer1"])


def test_zeros_of_either_sign_differ_and_a_nan_equals_itself(make_model: MakeModel) -> None:
    model = make_model()
    with torch.no_grad():
        model.head_layer.weight[0, 0] = 0.0
        model.get_parameter("layer3.0.bn1.weight")[0] = torch.nan
    base = base_of(model)
    assert base_units(model, base) == UNITS
    with torch.no_grad():
        model.head_layer.weight[0, 0] = -0.0
    assert base_units(model, base) == UNITS - {"head"}


def test_the_layout_in_memory_does_not_matter(make_model: MakeModel) -> None:
    model = make_model()
    base = base_of(model)
    model.to(memory_format=torch.channels_last)
    assert base_units(model, base) == UNITS


def test_the_digest_is_that_of_the_frozen_stages(make_model: MakeModel) -> None:
    model = make_model()
    base = base_of(model)
    for changed in (False, True):
        if changed:
            with torch.no_grad():
                model.get_parameter("layer1.0.conv1.weight")[0, 0, 0, 0] += 1
        untouched = base_units(model, base)
        for size in range(len(STAGES) + 1):
            for trainable in combinations(STAGES, size):
                expected = frozen_digest(model, trainable)
                assert digest_of_frozen(model, base, trainable, untouched) == expected


def test_a_digest_is_computed_once_and_forgotten_with_its_base(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    base, other = base_of(model), base_of(model)
    calls: list[int] = []

    def counted(state: Mapping[str, Tensor]) -> str:
        calls.append(1)
        return state_digest(state)

    monkeypatch.setattr("client.model.frozen.state_digest", counted)
    for _ in range(3):
        assert digest_of_base(base, ("stem", "layer1")) == digest_of_base(other, ("stem", "layer1"))
    assert len(calls) == 2
    gone = weakref.ref(base)
    del base
    gc.collect()
    assert gone() is None
