"""`activations`: what the forward pass keeps for the backward pass.

Whatever it is, frozen layers that the gradient passes through keep nothing of their inputs. With
int8 and int4 (SlimFit, Ardakani et al., arXiv:2305.18513; ActNN, Chen et al., arXiv:2104.14129)
every other activation is kept once, in that many bits, and ReLU as a bit mask; the gradients of
weights then have a rounding error, the forward pass has none. `recompute` is the network's own
(`shared/model/recompute.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode

from client.train.activations.functions import (
    FrozenConvolution,
    FrozenNorm,
    IndexedMaxPool,
    MaskedRelu,
)
from client.train.activations.quantised import Quantised, quantise

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
        stack.enter_context(_Frugal(keeper))
    elif activations == "exact":
        stack.enter_context(_Frugal(None))
    return stack


class Keeper:
    """Packs what autograd keeps; a tensor that several layers keep is packed once."""

    def __init__(self, model: nn.Module, bits: int) -> None:
        weights = [*model.parameters(), *model.buffers()]
        self._bits = bits
        self._storages = {weight.untyped_storage().data_ptr() for weight in weights}
        shapes = {tuple(weight.shape) for weight in weights}
        # Copies of weights in another dtype, or transposed: they are no activations.
        self._shapes = shapes | {shape[::-1] for shape in shapes}
        self._packed: dict[tuple[object, ...], tuple[StorageWeakRef, Quantised]] = {}

    def hooks(self, bits: int | None = None, width: int | None = None) -> saved_tensors_hooks:
        """Autograd's hooks; with `width` only for tensors with so many channels, or of 4 axes."""

        def pack(tensor: Tensor) -> Tensor | Quantised:
            if width is not None and tensor.dim() != 4 and tensor.shape[-1:] != (width,):
                return tensor
            return self.pack(tensor, bits or self._bits)

        return saved_tensors_hooks(pack, unpack)

    def pack(self, tensor: Tensor, bits: int) -> Tensor | Quantised:
        """What is kept of a tensor; itself where it is small, a weight, or no real numbers."""
        if not self._is_activation(tensor):
            return tensor
        storage = tensor.untyped_storage()
        key = (
            storage._cdata, tensor._version, tensor.storage_offset(), tensor.shape,
            tensor.stride(), tensor.dtype, bits,
        )  # fmt: skip
        reference, packed = self._packed.get(key, (None, None))
        # A storage that is gone may have left its address to another one.
        if packed is None or reference is None or reference.expired():
            packed = quantise(tensor, bits)
            self._packed[key] = StorageWeakRef(storage), packed
        return packed

    def forget(self) -> None:
        """Hold nothing any more; the backward pass lets go of each tensor as it goes on."""
        self._packed.clear()

    def _is_activation(self, tensor: Tensor) -> bool:
        return (
            tensor.is_floating_point()
            and tensor.numel() >= SMALLEST
            and tensor.dim() > 1
            and tuple(tensor.shape) not in self._shapes
            and tensor.untyped_storage().data_ptr() not in self._storages
        )


def unpack(kept: Tensor | Quantised) -> Tensor:
    """What the backward pass computes with."""
    return kept.restore() if isinstance(kept, Quantised) else kept


class _Frugal(TorchFunctionMode):
    """Replaces, while it is active, functions of PyTorch that keep more than they need."""

    def __init__(self, keeper: Keeper | None) -> None:
        super().__init__()
        self._keeper = keeper

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if not torch.is_grad_enabled():
            return function(*args, **given)
        if function is F.conv2d:
            return _convolution(*args, **given)
        if function is F.batch_norm:
            return _norm(*args, **given)
        if self._keeper is None:
            return function(*args, **given)
        if function is F.relu:
            return _relu(*args, **given)
        if function is F.max_pool2d:
            return _max_pool(*args, **given)
        if function is F.multi_head_attention_forward:
            # Logarithms of sums are no operands: an error in them is one of the whole row.
            with self._keeper.hooks(_ATTENTION_BITS, width=args[0].shape[-1]):
                return function(*args, **given)
        return function(*args, **given)


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    trains = weight.requires_grad or (bias is not None and bias.requires_grad)
    if trains or not x.requires_grad or isinstance(padding, str):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    found: Tensor = FrozenConvolution.apply(  # type: ignore[no-untyped-call]
        x, weight, bias, _pair(stride), _pair(padding), _pair(dilation), groups
    )
    return found


def _norm(
    x: Tensor, mean: Tensor | None, variance: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    fixed = (
        not training and mean is not None and variance is not None
        and weight is not None and not weight.requires_grad
        and bias is not None and not bias.requires_grad
    )  # fmt: skip
    if not fixed or not x.requires_grad:
        return F.batch_norm(x, mean, variance, weight, bias, training, momentum, eps)
    found: Tensor = FrozenNorm.apply(x, mean, variance, weight, bias, eps)  # type: ignore[no-untyped-call]
    return found


def _relu(input: Tensor, inplace: bool = False) -> Tensor:
    if not input.requires_grad:
        return F.relu(input, inplace)
    found: Tensor = MaskedRelu.apply(input, inplace)  # type: ignore[no-untyped-call]
    return found


def _max_pool(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    if not input.requires_grad or return_indices:
        return F.max_pool2d(
            input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )
    size = _pair(kernel_size)
    step = size if stride is None else _pair(stride)
    return IndexedMaxPool.apply(  # type: ignore[no-untyped-call]
        input, size, step, _pair(padding), _pair(dilation), ceil_mode
    )


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


Pair = tuple[int, int]
