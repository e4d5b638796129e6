"""Flower's strategies called on arrays, with the state that they would have kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from flwr.app import Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM, FedYogi
from numpy.typing import NDArray

from shared.errors import RunError
from shared.wire.arrays import Arrays, to_record

WEIGHT_KEY = "num-examples"


def has_server_optimizer(strategy: FedAvg) -> bool:
    """Whether it steps along the averaged update instead of taking the average."""
    return isinstance(strategy, FedAdam | FedYogi | FedAvgM)


def run_strategy(
    strategy: FedAvg,
    round_number: int,
    contributions: Sequence[tuple[Mapping[str, NDArray[np.float32]], int]],
    sites: int,
) -> Arrays:
    """Aggregate (arrays, images) that have the same keys in the same order.

    Each call builds its messages, as some strategies empty them; FedAvgM pairs tensors by position.
    Raises RunError, which names the number of `sites`, where the strategy cannot combine them.
    """
    replies = [_as_reply(arrays, images) for arrays, images in contributions]
    try:
        arrays, _ = strategy.aggregate_train(round_number, replies)
    except Exception as error:
        raise RunError(
            f"The strategy {type(strategy).__name__} could not combine the updates of "
            f"{sites} sites ({error}); another `strategy`, or more sites, would help."
        ) from error
    if arrays is None:
        raise nothing_to_combine(strategy)
    return {key: np.asarray(array.numpy()) for key, array in arrays.items()}


def nothing_to_combine(strategy: FedAvg) -> RunError:
    """What to raise where no site sent anything."""
    return RunError(f"The strategy {type(strategy).__name__} had no update to combine.")


@contextmanager
def quiet_flower() -> Iterator[None]:
    """Flower's warnings only: a strategy that is called block by block would log each block."""
    logger = logging.getLogger("flwr")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


def _as_reply(arrays: Mapping[str, NDArray[np.float32]], images: int) -> Message:
    content = RecordDict(
        {"arrays": to_record(arrays), "metrics": MetricRecord({WEIGHT_KEY: images})}
    )
    return Message(content, dst_node_id=0, message_type="train")


def give_state(
    strategy: FedAvg,
    current: Mapping[str, NDArray[np.float32]],
    state: Mapping[str, NDArray[np.float32]],
) -> None:
    """Set what Flower's strategies would have kept, with zeros for tensors new to them."""

    def moment(name: str) -> Arrays:
        return {key: state.get(f"{name}/{key}", np.zeros_like(v)) for key, v in current.items()}

    if isinstance(strategy, FedAdam | FedYogi):
        strategy.current_arrays = dict(current)
        strategy.m_t, strategy.v_t = moment("m"), moment("v")
    elif isinstance(strategy, FedAvgM):
        strategy.current_arrays = to_record(dict(current))
        strategy.momentum_vector = list(moment("momentum").values())


def take_state(strategy: FedAvg, keys: Sequence[str]) -> Arrays:
    """Read the state back, as float32 by tensor name."""
    moments: dict[str, Mapping[str, NDArray[np.float32]]] = {}
    if isinstance(strategy, FedAdam | FedYogi):
        moments = {"m": strategy.m_t or {}, "v": strategy.v_t or {}}
    elif isinstance(strategy, FedAvgM):
        moments = {"momentum": dict(zip(keys, strategy.momentum_vector or [], strict=True))}
    return {
        f"{name}/{key}": value.astype(np.float32)
        for name, values in moments.items()
        for key, value in values.items()
    }
