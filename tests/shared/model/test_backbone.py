"""Sets of units and how they are written, for every backbone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.model.backbone import Backbone, Unit
from shared.model.network import build_network
from shared.model.registry import BACKBONES
from shared.model.resnet import MICRO, RESNET50

ALL = list(BACKBONES.values())
backbones = st.sampled_from(ALL)


@st.composite
def units(draw: st.DrawFn) -> tuple[Backbone, frozenset[str]]:
    backbone = draw(backbones)
    names = [unit.name for unit in backbone.units]
    return backbone, frozenset(draw(st.lists(st.sampled_from(names))))


def test_a_resnet50_has_18_units() -> None:
    names = [unit.name for unit in RESNET50.units]
    assert names[:4] == ["stem", "layer1.0", "layer1.1", "layer1.2"]
    assert (len(names), names[-2:]) == (18, ["layer4.2", "head"])
    assert RESNET50.stages == ("stem", "layer1", "layer2", "layer3", "layer4", "head")


@given(units())
def test_a_set_of_units_is_written_in_one_way(chosen: tuple[Backbone, frozenset[str]]) -> None:
    backbone, names = chosen
    parts = backbone.parts_of(names)
    assert backbone.units_of(parts) == names
    assert backbone.parts_of(backbone.units_of(parts)) == parts
    assert list(parts) == sorted(parts, key=backbone.position)
    assert backbone.other_units(parts) | names == {unit.name for unit in backbone.units}
    assert not backbone.other_units(parts) & names


@given(units())
def test_the_frozen_prefix_ends_before_the_first_of_a_set(
    chosen: tuple[Backbone, frozenset[str]],
) -> None:
    backbone, names = chosen
    order = [unit.name for unit in backbone.units]
    if not names:
        with pytest.raises(ValueError, match="empty"):
            backbone.first_of(names)
        return
    before = backbone.before(backbone.first_of(names))
    assert list(before) == order[: len(before)]
    assert order[len(before)] in names
    assert not names & set(before)


@pytest.mark.parametrize("backbone", ALL, ids=lambda one: one.name)
def test_units_hold_all_of_the_state_in_order(backbone: Backbone) -> None:
    state = build_network(backbone.name).state_dict()
    order = [unit.name for unit in backbone.units]
    found = [backbone.unit_of(key).name for key in state]
    assert sorted(found, key=order.index) == found
    assert set(found) == set(order)
    assert state[backbone.head_keys[0]].shape == (1, backbone.features)
    first = filter(None, (backbone.first_layer, backbone.first_norm))
    assert all(f"{name}.weight" in state for name in (*first, *backbone.zeroed))


@pytest.mark.parametrize("backbone", ALL, ids=lambda one: one.name)
def test_the_network_runs_from_any_unit_to_any_other(backbone: Backbone) -> None:
    """By way of every boundary, the images give what they give at once."""
    network = build_network(backbone.name, dropout=0.0).eval()
    images = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2048 - 1024
    x, reached = images, backbone.stages[0]
    with torch.no_grad():
        for unit in backbone.units:
            x, reached = network.between(x, reached, unit.name), unit.name
        assert x.shape[1] == backbone.features
        assert torch.equal(network.rest(x, reached), network(images))
        assert torch.equal(network.rest(network.pool(x), backbone.head), network(images))
        assert network.maps(x).shape[2] == network.maps(x).shape[3]
        for side in () if backbone.tokens else (backbone.single_up_to, backbone.single_up_to + 1):
            maps = network.prefix(torch.zeros(1, 1, side, side), reached).shape[2:]
            assert (maps == (1, 1)) == (side == backbone.single_up_to)


def test_unknown_parts_are_named() -> None:
    with pytest.raises(ValueError, match=r"'layer3.1', 'neck'.* of micro; its stages are"):
        MICRO.units_of(["neck", "layer3.1", "layer3.0"])


def test_a_unit_and_a_stage_may_not_be_confused() -> None:
    body = (Unit("body", "body", ("a",)), Unit("more", "body", ("b",)))
    with pytest.raises(ValueError, match="Both a stage and a unit of odd are called body"):
        Backbone("odd", (*body, Unit("head", "head", ("c",))), 1, MICRO.build)
