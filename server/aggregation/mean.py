"""A weighted mean, accumulated one contribution at a time, whose bytes know no order of arrival.

Sums carry 106 bits, as a pair of float64: `high` is the sum as float64 has it, `low` gathers what
each addition to it rounded away (Knuth's TwoSum gives that exactly). A float32 value times fewer
than 2**29 images is exact in float64. So, where the nonzero values of an element lie within a
factor of 2**40 of each other (with at most 2**30 images and 2**10 sites in all), nothing is lost
at all: whatever the order, the sum is the exact one, and the mean the float32 nearest to the exact
mean, ties to even. Beyond that the sum errs by at most some 2**-100 of the sum of magnitudes, and
the order shows only where the exact mean lies so close to the middle of two float32. Zeros come
out as +0.0; what is not finite stays not finite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from server.aggregation.shares import MOST_IMAGES
from shared.wire.arrays import Arrays

_BLOCK = 2**14  # elements: five float64 rows of it stay in a core's own cache
_SPLITTER = 2.0**27 + 1
_SMALLEST = 2.0**-125
"""Twice the smallest float32 that has all of its bits."""

Doubles = NDArray[np.float64]


class RunningMean:
    """Sums of `images * values` by tensor; two float64 for each element, however many come."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.images = 0
        self.count = 0
        self._shapes = dict(shapes)
        sizes = {key: int(np.prod(shape, dtype=np.int64)) for key, shape in shapes.items()}
        self._high = {key: np.zeros(size) for key, size in sizes.items()}
        self._low = {key: np.zeros(size) for key, size in sizes.items()}
        self._scratch = np.empty((3, _BLOCK))

    def add(self, arrays: Mapping[str, NDArray[np.float32]], images: int) -> None:
        """Take one contribution; tensors other than the known ones are ignored.

        Raises ValueError, before anything is added, for another shape or dtype or images
        out of 1 ... 2**29 - 1, KeyError for a missing tensor.
        """
        if not 1 <= images <= MOST_IMAGES:
            raise ValueError(f"images must be 1 ... {MOST_IMAGES}, not {images}")
        for key, shape in self._shapes.items():
            if arrays[key].shape != shape or arrays[key].dtype != np.float32:
                raise ValueError(f"{key} is {arrays[key].dtype} {arrays[key].shape}, not {shape}")
        with np.errstate(invalid="ignore", over="ignore"):
            for key, high in self._high.items():
                values = arrays[key].reshape(-1)
                for part in _blocks(high.size):
                    self._add_block(values[part], images, high[part], self._low[key][part])
        self.images += images
        self.count += 1

    def result(self) -> Arrays:
        """The mean of what was added so far, in float32; ValueError where nothing was."""
        if not self.count:
            raise ValueError("the mean of nothing")
        arrays: Arrays = {}
        with np.errstate(invalid="ignore", over="ignore"):
            for key, high in self._high.items():
                mean = np.empty(high.size, np.float32)
                for part in _blocks(high.size):
                    mean[part] = _nearest_quotient(high[part], self._low[key][part], self.images)
                arrays[key] = mean.reshape(self._shapes[key])
        return arrays

    def _add_block(
        self, values: NDArray[np.float32], images: int, high: Doubles, low: Doubles
    ) -> None:
        """`_two_sum(high, images * values)`, written out in place: its speed is the memory's."""
        product, total, rest = self._scratch[:, : values.size]
        np.multiply(values, float(images), out=product, dtype=np.float64)
        np.add(high, product, out=total)
        np.subtract(total, high, out=rest)
        np.subtract(product, rest, out=product)
        np.subtract(total, rest, out=rest)
        np.subtract(high, rest, out=rest)
        np.add(product, rest, out=product)
        np.add(low, product, out=low)
        np.copyto(high, total)


def _blocks(size: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, size, _BLOCK))


def _nearest_quotient(high: Doubles, low: Doubles, divisor: int) -> NDArray[np.float32]:
    """`(high + low) / divisor`, rounded to float32 once.

    In float64 the quotient errs by less than four units of its last place, which decides all but
    those elements that lie next to the middle of two float32, or below what float32 has in full.
    """
    quotient = (high + low) / np.float64(divisor)
    tail = quotient.view(np.int64) & (2**29 - 1)
    doubtful = np.abs(tail - 2**28) <= 8
    doubtful |= (np.abs(quotient) < _SMALLEST) & ((high != 0) | (low != 0))
    nearest = quotient.astype(np.float32)
    if doubtful.any():
        nearest[doubtful] = _exactly_nearest(high[doubtful], low[doubtful], divisor)
    return nearest


def _exactly_nearest(high: Doubles, low: Doubles, divisor: int) -> NDArray[np.float32]:
    """The same, with a quotient that is known to 2**-104 of itself before it is rounded."""
    number = np.float64(divisor)
    high, low = _two_sum(high, low)  # the same pair for the same sum, however it came about
    quotient = high / number
    product = quotient * number
    remainder = (high - product) - _product_error(quotient, number, product)
    quotient, rest = _two_sum(quotient, (remainder + low) / number)
    # Rounded to float64 and then to float32, the middle of two float32 could come about by the
    # first rounding. An odd last bit keeps off the middle, and on its side of it.
    bits = quotient.view(np.int64)
    outwards = np.where((rest > 0) == (quotient > 0), 1, -1)
    bits += np.where((rest != 0) & (bits & 1 == 0), outwards, 0)
    return quotient.astype(np.float32)


def _two_sum(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    """A + b as float64 has it, and what that rounded away, exactly (Knuth)."""
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def _product_error(a: Doubles, b: np.float64, product: Doubles) -> Doubles:
    """What `product = a * b` rounded away, exactly (Dekker)."""
    a_high, b_high = _upper_half(a), _upper_half(np.asarray(b))
    a_low, b_low = a - a_high, b - b_high
    error: Doubles = a_low * b_low - (
        ((product - a_high * b_high) - a_low * b_high) - a_high * b_low
    )
    return error


def _upper_half(a: Doubles) -> Doubles:
    """The upper 26 bits of each number (Veltkamp)."""
    scaled = _SPLITTER * a
    half: Doubles = scaled - (scaled - a)
    return half
