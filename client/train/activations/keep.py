"""`activations`: what the forward pass keeps for the backward pass.

Whatever it is, frozen layers that the gradient passes through keep nothing of their inputs. With
int8 and int4 (SlimFit, Ardakani et al., arXiv:2305.18513; ActNN, Chen et al., arXiv:2104.14129)
every other activation is kept once, in that many bits, and ReLU as a bit mask; the gradients of
weights then have a rounding error, the forward pass has none. `recompute` is the network's own
(`shared/model/recompute.py`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef

from client.train.activations.frugal import Frugal
from client.train.activations.quantised import Quantised, quantise
from client.train.activations.slabs import Slabs

BITS = {"int8": 8, "int4": 4}
"""Of a kept value, by what `activations` may be."""
SMALLEST = 4096
"""Tensors of fewer values are kept as they are."""
_ATTENTION_BITS = 8


def keeping(activations: str, model: nn.Module) -> AbstractContextManager[object]:
    """The context for the forward pass of the units that train, and of those behind them.

    Exactly nothing is changed with "exact" and "recompute" where all of the model that needs a
    gradient trains.
    """
    bits = BITS.get(activations)
    stack = ExitStack()
    if bits is not None:
        keeper = Keeper(model, bits)
        stack.callback(keeper.forget)
        stack.enter_context(keeper.hooks())
        stack.enter_context(Frugal(keeper.of_attention))
    elif activations == "exact":
        stack.enter_context(Frugal(None))
    return stack


class Keeper:
    """Packs what autograd keeps; a tensor that several layers keep is packed once."""

    def __init__(self, model: nn.Module, bits: int) -> None:
        weights = [*model.parameters(), *model.buffers()]
        self._bits = bits
        self._slabs = Slabs()
        self._storages = {weight.untyped_storage().data_ptr() for weight in weights}
        shapes = {tuple(weight.shape) for weight in weights}
        # Copies of weights in another dtype, or transposed: they are no activations.
        self._shapes = shapes | {shape[::-1] for shape in shapes}
        self._packed: dict[tuple[object, ...], tuple[StorageWeakRef, Quantised]] = {}

    def hooks(self) -> saved_tensors_hooks:
        """Autograd's hooks, for all layers but those with hooks of their own."""
        return saved_tensors_hooks(lambda tensor: self.pack(tensor, self._bits), unpack)

    def of_attention(self, width: int) -> saved_tensors_hooks:
        """The hooks for attention over tokens of so many channels: its operands in 8 bits.

        The logarithms of softmax's sums stay as they are: an error in one is one of a whole row.
        """

        def pack(tensor: Tensor) -> Tensor | Quantised:
            operand = tensor.dim() == 4 or tensor.shape[-1:] == (width,)
            return self.pack(tensor, _ATTENTION_BITS) if operand else tensor

        return saved_tensors_hooks(pack, unpack)

    def pack(self, tensor: Tensor, bits: int) -> Tensor | Quantised:
        """What is kept of a tensor; itself where it is a weight, a copy where it is small."""
        if self._is_weight(tensor):
            return tensor
        real = tensor.is_floating_point() and tensor.dim() > 1 and tensor.numel() >= SMALLEST
        if not real:
            return self._slabs.copy(tensor) if tensor.numel() > 0 else tensor
        storage = tensor.untyped_storage()
        key = (
            storage._cdata, tensor._version, tensor.storage_offset(), tensor.shape,
            tensor.stride(), tensor.dtype, bits,
        )  # fmt: skip
        if key not in self._packed:
            # A reference, though weak, keeps the address of a storage that is gone from being used
            # for another one.
            weak = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
            self._packed[key] = weak, quantise(tensor, bits, self._slabs)
        return self._packed[key][1]

    def forget(self) -> None:
        """Hold nothing any more; the backward pass lets go of each tensor as it goes on."""
        self._packed.clear()

    def _is_weight(self, tensor: Tensor) -> bool:
        """Whether it is one, or a copy of one."""
        if tensor.untyped_storage().data_ptr() in self._storages:
            return True
        return tensor.dim() > 1 and tuple(tensor.shape) in self._shapes


def unpack(kept: Tensor | Quantised) -> Tensor:
    """What the backward pass computes with."""
    return kept.restore() if isinstance(kept, Quantised) else kept
