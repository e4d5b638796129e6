from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from client.train.activations.mask import from_bits, to_bits
from client.train.activations.quantised import quantise
from client.train.activations.slabs import Slabs

SHAPES = st.sampled_from(
    [(2, 3, 8, 8), (3, 5, 3, 5), (4, 7), (2, 5, 6), (1, 1, 1, 1), (3, 1, 9, 9)]
)
FORMATS = st.sampled_from([torch.contiguous_format, torch.channels_last])


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    sizes = 10 ** torch.empty(shape).uniform_(-3, 4, generator=generator)
    return sizes * torch.randn(shape, generator=generator)


@settings(max_examples=60, deadline=None)
@given(
    shape=SHAPES, seed=st.integers(0, 999), bits=st.sampled_from([4, 8]), format=FORMATS,
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)  # fmt: skip
def test_each_value_is_off_by_half_a_step_of_its_range(
    shape: tuple[int, ...], seed: int, bits: int, format: torch.memory_format, dtype: torch.dtype
) -> None:
    """Bounded channel by channel, or as a whole; shape, dtype and memory layout come back."""
    x = drawn(shape, seed).to(dtype)
    if len(shape) == 4:
        x = x.contiguous(memory_format=format)
    kept = quantise(x, bits, Slabs())
    found = kept.restore()
    assert (found.shape, found.dtype, found.stride()) == (x.shape, x.dtype, x.stride())
    rounding = 0.01 if dtype == torch.bfloat16 else 1e-5
    for number in range(shape[1] if len(shape) == 4 else 1):
        one, back = (t[:, number] if len(shape) == 4 else t for t in (x.float(), found.float()))
        span = float(one.max() - one.min())
        allowed = 0.5 * span / (2**bits - 1) + rounding * float(one.abs().max())
        assert float((one - back).abs().max()) <= allowed
    assert torch.equal(found, quantise(x, bits, Slabs()).restore())
    assert kept.codes.nbytes == -(-x.numel() * bits // 8)


def test_a_small_token_has_a_range_of_its_own() -> None:
    tokens = torch.cat([drawn((3, 1, 96), 3) * 1e-4, drawn((3, 9, 96), 4)], dim=1)
    back = quantise(tokens, 8, Slabs()).restore()[:, 0]
    spans = tokens[:, 0].amax(1, keepdim=True) - tokens[:, 0].amin(1, keepdim=True)
    assert bool(((tokens[:, 0] - back).abs() <= spans / 500).all())


@pytest.mark.parametrize("bits", [4, 8])
def test_what_relu_made_zero_stays_zero_and_constants_are_exact(bits: int) -> None:
    x = torch.relu(drawn((4, 6, 16, 16), 1))
    assert torch.equal(quantise(x, bits, Slabs()).restore()[x == 0], x[x == 0])
    constant = torch.full((2, 3, 8, 8), 0.1)
    assert torch.equal(quantise(constant, bits, Slabs()).restore(), constant)


def test_a_view_with_gaps_is_kept_as_what_it_shows() -> None:
    whole = drawn((4, 6, 16, 16), 2)
    for view in (whole[:, ::2], whole[..., 3:9], whole[:1].expand(4, -1, -1, -1)):
        found = quantise(view, 8, Slabs()).restore()
        assert torch.equal(found, quantise(view.clone(), 8, Slabs()).restore())


@given(mask=st.lists(st.booleans(), max_size=70))
def test_a_mask_comes_back_from_its_bits(mask: list[bool]) -> None:
    given_mask = torch.tensor(mask, dtype=torch.bool)
    bits = to_bits(given_mask)
    assert len(bits) == -(-len(mask) // 8)
    assert torch.equal(from_bits(bits, len(mask)), given_mask)
