"""Random streams that are the same everywhere and unrelated to each other."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.seeds import derive_seed

purposes = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyz.-_", min_size=1) | st.integers(0, 10**6), max_size=4
)


def test_the_same_on_every_platform() -> None:
    # printf '0|north|7|order' | sha256sum, the first eight bytes shifted right by one bit
    assert derive_seed(0, "north", 7, "order") == 0x2F7B0D38C7E9C1CA >> 1


@given(st.integers(0, 2**31 - 1), purposes)
def test_torch_takes_every_seed(seed: int, purpose: list[str | int]) -> None:
    derived = derive_seed(seed, *purpose)
    assert 0 <= derived < 2**63
    assert torch.Generator().manual_seed(derived).initial_seed() == derived


@given(st.integers(0, 99), st.integers(0, 99), purposes, purposes)
def test_other_purposes_have_other_seeds(
    seed: int, other: int, purpose: list[str | int], another: list[str | int]
) -> None:
    same = (seed, list(map(str, purpose))) == (other, list(map(str, another)))
    assert (derive_seed(seed, *purpose) == derive_seed(other, *another)) is same
