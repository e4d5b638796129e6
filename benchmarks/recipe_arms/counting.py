"""Flower's FedAvg with the bytes of what it sends and receives."""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg


class CountingFedAvg(FedAvg):
    """Flower's FedAvg; counts the arrays that travel and does not pass over failures."""

    def __init__(self, sites: int) -> None:
        super().__init__(
            min_train_nodes=sites, min_evaluate_nodes=sites, min_available_nodes=sites
        )  # fmt: skip
        self.training_bytes = self.evaluation_bytes = 0

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        messages = list(super().configure_train(server_round, arrays, config, grid))
        self.training_bytes += array_bytes(messages)
        return messages

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        messages = list(super().configure_evaluate(server_round, arrays, config, grid))
        self.evaluation_bytes += array_bytes(messages)
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        received = list(replies)
        self.training_bytes += array_bytes(received)
        return super().aggregate_train(server_round, received)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        received = list(replies)
        self.evaluation_bytes += array_bytes(received)
        return super().aggregate_evaluate(server_round, received)


def array_bytes(messages: Iterable[Message]) -> int:
    """The sizes of all arrays in these messages; RuntimeError where one reports a failure."""
    size = 0
    for message in messages:
        if message.has_error():
            raise RuntimeError(f"a client of stock Flower failed: {message.error.reason}")
        for record in message.content.array_records.values():
            size += sum(len(array.data) for array in record.values())
    return size
