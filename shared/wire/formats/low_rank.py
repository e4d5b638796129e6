"""A matrix as the product of two narrow ones (PowerSGD, Vogels et al., arXiv:1905.13727).

A tensor (channels, ...) is a matrix M with a row a channel. The columns of P are nearly M's first
left singular vectors, found by subspace iteration (Halko et al., arXiv:0909.4061) from the same
start each time, so that nothing but the residual has to be remembered; Q is M's transpose times P,
and P times Q's transpose is what arrives. Both sides add up that product in the same order, column
by column: it is the same at every machine.

Bytes: for each of the columns a little-endian int16 exponent, then P and then Q as little-endian
float16, column by column; Q's are under these powers of two.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shared.errors import ProtocolError
from shared.wire.formats.choice import LARGEST

_PASSES = 2
_MORE = 8
"""Columns beyond the rank that are iterated with, so that the first ones come out right."""
_TOP = 15
"""Q's largest magnitude in a column is brought below 2**15; float16 ends below 2**16."""
_EXPONENTS = range(-148 - _TOP, math.frexp(LARGEST)[1] + 32)


def encode(values: NDArray[np.float32], rank: int) -> tuple[bytes, NDArray[np.float32]]:
    """The bytes, and the values that the receiver will see.

    `values`: (channels, ...), magnitudes up to 2**100; `rank` at most its smaller side.
    """
    rows = values.reshape(len(values), -1)
    halves = _first_directions(rows, rank).astype("<f2")
    right = rows.T @ halves.astype(np.float32)
    exponents = np.frexp(np.abs(right).max(axis=0))[1].astype("<i2") - np.int16(_TOP)
    scaled = np.ldexp(right, -exponents.astype(np.int32)).astype("<f2")
    data = exponents.astype("<i2").tobytes() + halves.T.tobytes() + scaled.T.tobytes()
    return data, _product(halves.T, scaled.T, exponents).reshape(values.shape)


def decode(name: str, data: bytes, shape: tuple[int, ...], rank: int) -> NDArray[np.float32]:
    """The values; ProtocolError where the bytes are no such tensor."""
    rows, columns = shape[0], math.prod(shape[1:])
    size = 2 * rank * (1 + rows + columns)
    if len(data) != size:
        raise ProtocolError(f"{name} has {len(data)} bytes where {size} were expected")
    exponents = np.frombuffer(data, "<i2", count=rank)
    if not set(exponents.tolist()) <= set(_EXPONENTS):
        raise ProtocolError(f"{name} has a scale that no update needs")
    halves = np.frombuffer(data, "<f2", offset=2 * rank)
    left, right = halves[: rank * rows], halves[rank * rows :]
    with np.errstate(invalid="ignore", over="ignore"):  # a hostile NaN is the caller's to refuse
        product = _product(left.reshape(rank, rows), right.reshape(rank, columns), exponents)
    return product.reshape(shape)


def _product(
    left: NDArray[np.float16], right: NDArray[np.float16], exponents: NDArray[np.int16]
) -> NDArray[np.float32]:
    """The sum over columns of their outer products, in their order; both (rank, ...)."""
    total = np.zeros((left.shape[1], right.shape[1]), np.float32)
    one = np.empty_like(total)
    for p, q, exponent in zip(left, right, exponents, strict=True):
        column = np.ldexp(q.astype(np.float32), int(exponent))
        total += np.multiply(p.astype(np.float32)[:, np.newaxis], column, out=one)
    return total


def _first_directions(rows: NDArray[np.float32], rank: int) -> NDArray[np.float32]:
    """Orthonormal columns (rows, rank), nearly the first left singular vectors."""
    width = min(rank + _MORE, *rows.shape)
    start = np.random.default_rng(rows.shape).standard_normal((rows.shape[1], width))
    left = _orthonormal(rows @ start.astype(np.float32))
    for _ in range(_PASSES):
        left = _orthonormal(rows @ _orthonormal(rows.T @ left))
    inner = np.linalg.svd(_scaled(left.T @ rows), full_matrices=False)[0]
    found: NDArray[np.float32] = left @ inner[:, :rank].astype(np.float32)
    return found


def _orthonormal(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.linalg.qr(_scaled(columns))[0].astype(np.float32)


def _scaled(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """So that neither tiny nor huge updates lose their directions."""
    largest = float(np.abs(values).max())
    return values.astype(np.float64) / (largest if largest > 0 else 1.0)
