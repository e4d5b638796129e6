"""What a teacher says, as each outcome's loss takes it: nothing fits it better than the teacher."""

from __future__ import annotations

import pytest
import torch

from shared.outcome.registry import parse_outcome


@pytest.mark.parametrize(
    "text",
    ["binary", "classes: a | b | c", "ordinal: a | b | c", "ordinal: a | b", "labels: a | b"],
)
def test_the_teachers_own_logits_have_the_least_loss(text: str) -> None:
    outcome = parse_outcome(text)
    generator = torch.Generator().manual_seed(0)
    shape = (7,) if outcome.outputs == 1 else (7, outcome.outputs)
    teacher = torch.randn(shape, generator=generator)
    targets = outcome.taught(teacher)
    own = teacher.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(outcome.loss(own, targets), own)
    assert gradient.abs().max() < 1e-6
    for _ in range(5):
        other = teacher + torch.randn(shape, generator=generator)
        assert outcome.loss(other, targets) > outcome.loss(teacher, targets)
