"""Steps of a network that keep for their backward pass what they need, and nothing else.

PyTorch keeps the input of a convolution, and of a BatchNorm in eval mode, for the gradients of
weights that may be frozen (pytorch/pytorch#133566), and a ReLU's output where its signs are enough.
The outputs and gradients of these are the same as PyTorch's, bit for bit on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor
from torch.autograd import Function

from client.train.activations.mask import from_bits, to_bits

Pair = tuple[int, int]


class LeanConvolution(Function):
    """A convolution that keeps its input only for a weight that trains, and never a weight's copy.

    In mixed precision PyTorch keeps what it casts weights to.
    """

    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor, bias: Tensor | None,
        stride: Pair, padding: Pair, dilation: Pair, groups: int,
    ) -> Tensor:  # fmt: skip
        """`F.conv2d`."""
        context.trains = context.needs_input_grad[1]
        context.save_for_backward(weight, *([x] if context.trains else []))
        context.settings = (stride, padding, dilation, groups)
        context.like = _Like.of(x)
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of input, weight and bias."""
        weight, *kept = context.saved_tensors
        stride, padding, dilation, groups = context.settings
        x = kept[0].to(gradient.dtype) if context.trains else context.like.empty(gradient)
        of_input, of_weight, of_bias = torch.ops.aten.convolution_backward(
            gradient, x, weight.to(gradient.dtype), [len(weight)],
            stride, padding, dilation, False, (0, 0), groups, context.needs_input_grad[:3],
        )  # fmt: skip
        found = (
            of_input if of_input is None else of_input.to(context.like.dtype),
            *(one if one is None else one.to(weight.dtype) for one in (of_weight, of_bias)),
        )
        return *found, *[None] * 4


class FrozenNorm(Function):
    """BatchNorm in eval mode whose scale and shift get no gradient: nothing of its input."""

    @staticmethod
    def forward(
        context: Any, x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor,
        epsilon: float,
    ) -> Tensor:  # fmt: skip
        """`F.batch_norm` with its running statistics."""
        context.save_for_backward(mean, variance, weight)
        context.like, context.epsilon = _Like.of(x), epsilon
        return F.batch_norm(x, mean, variance, weight, bias, eps=epsilon)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of the input."""
        mean, variance, weight = context.saved_tensors
        found, _, _ = torch.ops.aten.native_batch_norm_backward(
            gradient, context.like.empty(gradient), weight, mean, variance, None, None,
            False, context.epsilon, (True, False, False),
        )  # fmt: skip
        return found, *[None] * 5


class IndexedMaxPool(Function):
    """Max pooling that keeps where the largest values were, in 4 bytes each, and no input."""

    @staticmethod
    def forward(
        context: Any, x: Tensor, size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil: bool
    ) -> Tensor:
        """`F.max_pool2d`; maps have fewer than 2**31 positions."""
        context.settings = (size, stride, padding, dilation, ceil)
        y, places = F.max_pool2d_with_indices(x, *context.settings)
        context.like = _Like.of(x)
        context.save_for_backward(places.int())
        found: Tensor = y
        return found

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of the input."""
        (places,) = context.saved_tensors
        found = torch.ops.aten.max_pool2d_with_indices_backward(
            gradient, context.like.empty(gradient), *context.settings, places.long()
        )
        return found, *[None] * 5


class MaskedRelu(Function):
    """ReLU that keeps one bit a value: whether it is positive."""

    @staticmethod
    def forward(context: Any, x: Tensor, inplace: bool) -> Tensor:
        """`F.relu`."""
        if inplace:
            context.mark_dirty(x)
            y = x.relu_()
        else:
            y = x.relu()
        positive = torch.empty_like(y, dtype=torch.bool)  # as y lies in memory
        torch.gt(y, 0, out=positive)
        size, context.stride = y.numel(), positive.stride()
        context.save_for_backward(to_bits(positive.as_strided((size,), (1,))))
        return y

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The gradient where the value was positive, else zero."""
        (bits,) = context.saved_tensors
        positive = from_bits(bits, gradient.numel()).as_strided(gradient.shape, context.stride)
        return torch.where(positive, gradient, 0), None


class _Like:
    """Shape, dtype and memory format of an input that is not kept."""

    def __init__(self, shape: torch.Size, dtype: torch.dtype, last: bool) -> None:
        self.shape, self.dtype, self._last = shape, dtype, last

    @classmethod
    def of(cls, x: Tensor) -> _Like:
        return cls(x.shape, x.dtype, not x.is_contiguous())

    def empty(self, gradient: Tensor) -> Tensor:
        """A tensor in its place, which the backward pass asks for the shape alone."""
        if self._last:
            return gradient.new_empty(self.shape).contiguous(memory_format=torch.channels_last)
        return gradient.new_empty(1).expand(self.shape)
