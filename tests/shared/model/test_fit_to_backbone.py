"""Tests of shared.model.checkpoints.fit_to_backbone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from shared.errors import WeightsError
from shared.model.checkpoints import fit_to_backbone
from shared.model.network import build_network
from shared.model.resnet import MICRO


@pytest.fixture
def state() -> dict[str, Tensor]:
    return dict(build_network("micro", seed=4).state_dict())


def _fit(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    return fit_to_backbone(state, build_network("micro").state_dict(), MICRO, "north.pt")


def _equal(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return list(left) == list(right) and all(torch.equal(left[k], right[k]) for k in left)


def test_a_complete_state_keeps_its_values_and_head(state: dict[str, Tensor]) -> None:
    state["bn1.num_batches_tracked"] = torch.tensor(77)
    fitted, has_head = _fit(state)
    assert has_head
    assert fitted["bn1.num_batches_tracked"].item() == 0
    assert fitted["bn1.num_batches_tracked"].dtype == torch.int64
    assert _equal(
        {k: v for k, v in fitted.items() if not k.endswith("tracked")},
        {k: v for k, v in state.items() if not k.endswith("tracked")},
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(state: dict[str, Tensor], dtype: torch.dtype) -> None:
    state["conv1.weight"] = state["conv1.weight"].to(dtype)
    fitted, _ = _fit(state)
    assert fitted["conv1.weight"].dtype == torch.float32
    assert torch.equal(fitted["conv1.weight"], state["conv1.weight"].float())


def test_tensors_are_owned_and_contiguous(state: dict[str, Tensor]) -> None:
    state["layer1.0.conv1.weight"] = state["layer1.0.conv1.weight"].to(
        memory_format=torch.channels_last
    )
    originals = {key: value.clone() for key, value in state.items()}
    fitted, _ = _fit(state)
    assert all(value.is_contiguous() for value in fitted.values())
    for value in fitted.values():
        value.zero_()
    assert _equal(state, originals)


def test_missing_head_and_counters_are_allowed(state: dict[str, Tensor]) -> None:
    reduced = {k: v for k, v in state.items() if not k.startswith("fc.") and "tracked" not in k}
    fitted, has_head = _fit(reduced)
    assert not has_head
    assert list(fitted) == list(state)
    assert fitted["fc.weight"].shape == (1, 64)
    assert not fitted["fc.weight"].any()
    assert not fitted["fc.bias"].any()


@pytest.mark.parametrize(
    "head",
    [
        {"fc.weight": torch.full((18, 64), torch.nan), "fc.bias": torch.ones(18)},
        {"fc.weight": torch.ones(1, 64)},
        {"fc.0.weight": torch.ones(1, 64), "fc.0.bias": torch.ones(1)},
    ],
)
def test_other_heads_are_dropped(state: dict[str, Tensor], head: dict[str, Tensor]) -> None:
    backbone = {k: v for k, v in state.items() if not k.startswith("fc.")}
    fitted, has_head = _fit(backbone | head)
    assert not has_head
    assert not fitted["fc.weight"].any()
    assert list(fitted) == list(state)


def test_every_mismatch_is_listed(state: dict[str, Tensor]) -> None:
    del state["layer2.0.bn1.running_var"]
    state["layer3.0.conv1.weight"] = torch.zeros(2, 3)
    state["layer4.0.bn1.bias"] = torch.zeros(64, dtype=torch.int8)
    state["op_threshs"] = torch.zeros(18)
    with pytest.raises(WeightsError) as caught:
        _fit(state)
    text = str(caught.value)
    assert text.startswith("north.pt does not fit the backbone: ")
    assert "layer2.0.bn1.running_var is missing" in text
    assert "layer3.0.conv1.weight has shape (2, 3) instead of (32, 16, 3, 3)" in text
    assert "layer4.0.bn1.bias is torch.int8 instead of floating-point" in text
    assert "op_threshs is unknown" in text
    assert "more" not in text


def test_a_long_list_of_mismatches_is_cut() -> None:
    expected = build_network("micro").state_dict()
    missing = [key for key in expected if not key.startswith("fc.") and "tracked" not in key]
    with pytest.raises(WeightsError, match=f"; and {len(missing) - 8} more") as caught:
        _fit({})
    assert str(caught.value).count("is missing") == 8


def test_colour_networks_are_refused(state: dict[str, Tensor]) -> None:
    state["conv1.weight"] = torch.zeros(8, 3, 7, 7)
    with pytest.raises(WeightsError, match="a 1-channel first convolution is needed"):
        _fit(state)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(torch.float32, float("nan")), (torch.float16, float("-inf")), (torch.float64, 1e300)],
)
def test_values_that_are_not_finite(
    state: dict[str, Tensor], dtype: torch.dtype, value: float
) -> None:
    state["layer1.0.bn2.bias"] = torch.full((8,), value, dtype=dtype)
    with pytest.raises(WeightsError, match=r"not finite: layer1\.0\.bn2\.bias"):
        _fit(state)
