"""The signals of a round, against a computation from the tensors as they are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from server.federation.global_model import Reference, build_reference
from server.results.signals import UnitSignals
from server.schedule.measure import agreement_of, pooled_log_loss, unit_signals, with_noise
from shared.metrics.histogram import Histogram
from shared.model.network import build_network
from shared.model.pretrained import Base
from shared.model.registry import backbone_of
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays


def tensors(reference: Reference, parts: tuple[str, ...], scale: float, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        spec.name: rng.normal(0, scale, spec.shape).astype(np.float32)
        for spec in reference.specs(parts)
    }


def test_the_relative_change_is_of_matrices_and_convolutions(reference: Reference) -> None:
    parts = ("layer2", "head")
    before, after = (tensors(reference, parts, 0.1, seed) for seed in (1, 2))
    # Statistics and scales may do what they want.
    after["layer2.0.bn1.running_var"] = before["layer2.0.bn1.running_var"] + 1e6
    before["layer2.0.bn2.weight"][:] = -reference.base.state["layer2.0.bn2.weight"].numpy()
    agreement = agreement_of(reference, before)
    for number, site in enumerate(("north", "east")):
        update = tensors(reference, parts, 0.01, 3 + number)
        agreement.add(site, update, 10)
    found = unit_signals(reference, before, after, agreement)
    assert found.keys() == {"layer2.0", "head"}
    for unit, signals in found.items():
        keys = [k for k in before if k.startswith({"head": "fc"}.get(unit, unit))]
        keys = [k for k in keys if before[k].ndim > 1]
        moved = sum(float(((after[k] - before[k]) ** 2).sum()) for k in keys)
        weights = [reference.base.state[k].numpy() + before[k] for k in keys]
        size = sum(float((one**2).sum()) for one in weights)
        assert signals.distance == pytest.approx((moved / size) ** 0.5, rel=6e-3)
        assert abs(signals.agreement or 9) < 0.3  # two sites drawn apart


def test_weights_that_were_all_zero(reference: Reference) -> None:
    before = tensors(reference, ("head",), 0.1, 1)
    zero = {k: -reference.base.state[k].numpy() for k in before}
    agreement = agreement_of(reference, before)
    assert unit_signals(reference, zero, before, agreement)["head"].distance == 1.0
    assert unit_signals(reference, zero, zero, agreement)["head"].distance == 0.0


@pytest.mark.parametrize("backbone", ["densenet121", "vit-tiny"])
def test_a_unit_that_is_a_norm_alone_is_judged_by_what_it_has(backbone: str) -> None:
    network = build_network(backbone, 0.0)
    base = Base(network.state_dict(), "sha256:ab", "a test", "", True, backbone_of(backbone))
    reference = build_reference(RunConfig(backbone=backbone, image_size=224), base)
    (norm,) = [u.name for u in network.backbone.units if u.name.endswith(".norm")]
    before = {k: np.zeros_like(v) for k, v in tensors(reference, (norm,), 1.0, 1).items()}
    after = {k: v + np.float32(0.5) for k, v in before.items()}
    agreement = agreement_of(reference, before)
    agreement.add("north", after, 3)
    agreement.add("east", after, 5)
    signals = unit_signals(reference, before, after, agreement)[norm]
    # Scales begin at one and biases at zero: 2n values of 0.5 beside n ones.
    assert signals.distance == pytest.approx((2 * 0.25) ** 0.5, rel=6e-3)
    assert signals.agreement == 1.0


def test_the_signal_to_noise_is_the_mean_of_the_sites_that_sent_it() -> None:
    units = {unit: UnitSignals(0.1, None) for unit in ("layer3.0", "layer4.0", "head")}
    found = {
        "north": {"head": 0.1, "layer4.0": 0.031},
        "east": {"head": 0.4},
        "south": {"head": 0.05, "layer4.0": 0.07},
        "west": {},
    }
    weights = {"north": 30, "east": 20, "south": 10, "west": 1000}
    pooled = with_noise(units, found, weights)
    head = np.average([0.1, 0.4, 0.05], weights=[30, 20, 10])
    layer4 = np.average([0.031, 0.07], weights=[30, 10])
    assert pooled == {
        "layer3.0": UnitSignals(0.1, None),
        "layer4.0": UnitSignals(0.1, None, float(f"{layer4:.2g}")),
        "head": UnitSignals(0.1, None, float(f"{head:.2g}")),
    }
    assert with_noise(units, dict(reversed(found.items())), weights) == pooled
    assert with_noise(units, {}, {}) == units


def test_the_log_loss_is_of_all_sites_patients() -> None:
    logits, labels = [-1.0, 0.5, 2.0, -3.0, 0.1], [0, 0, 1, 0, 1]
    exact = log_loss(labels, 1 / (1 + np.exp(-np.array(logits))))
    assert pooled_log_loss(Histogram.from_logits(logits, labels)) == pytest.approx(exact, abs=0.01)
    assert pooled_log_loss(Histogram.empty()) is None
