"""OneCycle against torch's own, step by step."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import OneCycleLR

from shared.settings.rates import one_cycle

MAXIMA = [1e-3, 5e-4]


def torch_cycle(total: int) -> list[tuple[list[float], float]]:
    """Rates of both groups and beta 1 at each step, as torch has them."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in MAXIMA]
    optimizer = torch.optim.AdamW(groups)
    scheduler = OneCycleLR(optimizer, max_lr=MAXIMA, total_steps=total)
    found = []
    for step in range(total):
        group = optimizer.param_groups
        found.append(([float(g["lr"]) for g in group], float(group[0]["betas"][0])))
        optimizer.step()
        if step + 1 < total:
            scheduler.step()
    return found


@pytest.mark.parametrize("total", [*range(2, 14), 30, 97, 400])
def test_every_step_equals_torch(total: int) -> None:
    for step, (rates, beta) in enumerate(torch_cycle(total)):
        position = one_cycle(step, total)
        assert [position.share * rate for rate in MAXIMA] == pytest.approx(rates, rel=1e-9)
        assert position.momentum == pytest.approx(beta, rel=1e-12)


def test_the_shape_of_a_long_cycle() -> None:
    shares = [one_cycle(step, 1000).share for step in range(1000)]
    assert shares[0] == pytest.approx(1 / 25)
    assert shares.index(max(shares)) == 299
    assert shares[299] == pytest.approx(1.0)
    assert shares[-1] == pytest.approx(1 / 250_000)


def test_a_single_step_has_the_peak_where_torch_has_the_end() -> None:
    (rates, _), *others = torch_cycle(1)
    assert not others
    assert rates == pytest.approx([rate / 250_000 for rate in MAXIMA])  # this would train nothing
    position = one_cycle(0, 1)
    assert (position.share, position.momentum) == (1.0, 0.85)


@given(st.integers(1, 10_000), st.data())
def test_shares_and_momenta_keep_their_limits(total: int, data: st.DataObject) -> None:
    position = one_cycle(data.draw(st.integers(0, total - 1)), total)
    assert 0 < position.share <= 1 + 1e-12
    assert 0.85 - 1e-12 <= position.momentum <= 0.95 + 1e-12


@pytest.mark.parametrize(("step", "total"), [(-1, 10), (10, 10), (0, 0)])
def test_a_step_outside_the_cycle(step: int, total: int) -> None:
    with pytest.raises(ValueError, match=f"step {step} is outside 0 to {total - 1}"):
        one_cycle(step, total)
