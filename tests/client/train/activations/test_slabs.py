"""Copies in slabs: equal, without overlap, and gone with the last of a slab."""

from __future__ import annotations

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from client.train.activations import slabs as module
from client.train.activations.quantised import quantise
from client.train.activations.slabs import Slabs


def test_copies_have_values_and_layout_of_what_was_copied() -> None:
    slabs = Slabs()
    generator = torch.Generator().manual_seed(0)
    tensors = [
        torch.randn(2, 3, 4, 5, generator=generator).contiguous(memory_format=torch.channels_last),
        torch.randn(7, 5, generator=generator).t(),
        torch.arange(13, dtype=torch.uint8),
        torch.randn(33, generator=generator).bfloat16(),
        torch.tensor(3.5),
    ]
    copies = [slabs.copy(tensor) for tensor in tensors]
    for tensor, copy in zip(tensors, copies, strict=True):
        assert copy.data_ptr() != tensor.data_ptr()
        assert copy.stride() == tensor.stride()
        assert copy.dtype == tensor.dtype
        assert torch.equal(copy, tensor)
    assert len({copy.untyped_storage().data_ptr() for copy in copies}) == 1


def test_what_has_gaps_stays_as_it_is() -> None:
    view = torch.randn(6, 6)[:, ::2]
    assert Slabs().copy(view) is view


def test_a_slab_goes_with_the_last_of_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIZE", 1024)
    slabs = Slabs()
    first = [slabs.copy(torch.full((48,), float(n))) for n in range(5)]
    second = slabs.copy(torch.zeros(48))
    large = slabs.copy(torch.ones(1000))
    assert len({one.untyped_storage().data_ptr() for one in [*first, second, large]}) == 3
    weak = StorageWeakRef(first[0].untyped_storage())  # type: ignore[no-untyped-call]
    last = first.pop()
    del first
    assert not weak.expired()  # type: ignore[no-untyped-call]
    assert last.eq(4).all()
    del last
    assert weak.expired()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("bits", "values_a_byte"), [(8, 1), (4, 2)])
def test_on_a_gpu_no_more_stays_than_the_codes(
    monkeypatch: pytest.MonkeyPatch, bits: int, values_a_byte: int
) -> None:
    """Two codes of 4 bits are put into the first half of what 8 bits took; the rest must go."""
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)  # where slabs are not used
    x = torch.randn(4, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    kept = quantise(x, bits, Slabs())
    assert kept.codes.untyped_storage().nbytes() == x.numel() // values_a_byte
    assert float((kept.restore() - x).abs().max()) < 8 / (2**bits - 1)


def test_on_a_gpu_a_whole_tensor_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    whole = torch.randn(6, 6)
    assert Slabs().copy(whole) is whole
