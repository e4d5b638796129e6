"""PyTorch's functions replaced, during a forward pass, where they keep more than they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor
from torch.overrides import TorchFunctionMode

from client.train.activations.functions import (
    FrozenNorm,
    IndexedMaxPool,
    LeanConvolution,
    MaskedRelu,
    Pair,
)


class Frugal(TorchFunctionMode):
    """While it is active, frozen convolutions and norms keep nothing of their inputs.

    With `attention`, a context for the attention of tokens of a width, ReLU and max pooling keep
    masks and places alone, and convolutions in mixed precision no copies of their weights.
    """

    def __init__(self, attention: Callable[[int], AbstractContextManager[Any]] | None) -> None:
        super().__init__()
        self._attention = attention

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if torch.is_grad_enabled():
            lean = _REDUCED if self._attention else _ALWAYS
            if function in lean:
                return lean[function](*args, **given)
            if self._attention and function is F.multi_head_attention_forward:
                with self._attention(args[0].shape[-1]):
                    return function(*args, **given)
        return function(*args, **given)


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    trains = weight.requires_grad or (bias is not None and bias.requires_grad)
    if trains or not x.requires_grad or isinstance(padding, str):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    return _lean_convolution(x, weight, bias, stride, padding, dilation, groups)


def _lean_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    if isinstance(padding, str):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    found: Tensor = LeanConvolution.apply(
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
    found: Tensor = FrozenNorm.apply(x, mean, variance, weight, bias, eps)
    return found


def _relu(input: Tensor, inplace: bool = False) -> Tensor:
    if not input.requires_grad:
        return F.relu(input, inplace)
    found: Tensor = MaskedRelu.apply(input, inplace)
    return found


def _max_pool(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    if return_indices:
        return F.max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    if not input.requires_grad:
        return F.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode)
    size, step = _pair(kernel_size), _pair(kernel_size if stride is None else stride)
    return IndexedMaxPool.apply(input, size, step, _pair(padding), _pair(dilation), ceil_mode)


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


_ALWAYS: Mapping[Callable[..., Any], Callable[..., Any]] = {
    F.conv2d: _convolution,
    F.batch_norm: _norm,
}
_REDUCED: Mapping[Callable[..., Any], Callable[..., Any]] = {
    F.conv2d: _lean_convolution,
    F.batch_norm: _norm,
    F.relu: _relu,
    F.max_pool2d: _max_pool,
}
