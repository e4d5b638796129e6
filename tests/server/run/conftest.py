"""A round's record, and a disk that fills up."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from server.run.ledger import RoundRecord, SiteRound
from shared.config import RunConfig
from shared.metrics.histogram import Histogram
from shared.metrics.summary import summarise, suppressed
from shared.protocol.plan import plan_to_values
from shared.schedule import plan_round

MakeRecord = Callable[..., RoundRecord]


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    """The ledger's record of a round with two sites, one of which suppresses its values."""

    def make(number: int, auroc: float | None = 0.75, seconds: float = 3.0) -> RoundRecord:
        metrics = summarise(Histogram.from_logits([-1, 1, 2], [0, 0, 1])).to_json()
        sites = {
            name: SiteRound(
                images=images,
                patients=images,
                steps=4,
                loss=0.5,
                train_seconds=1.5,
                evaluate_seconds=0.25,
                peak_memory_bytes=images * 1000,
                continued_from=number - 1,
                metrics=shown,
            )
            for name, images, shown in [
                ("east", 20, metrics),
                ("north", 30, suppressed().to_json()),
            ]
        }
        return RoundRecord(
            round=number,
            plan=plan_to_values(plan_round(RunConfig(), number)),
            sites=sites,
            refused={"south": "no reply within 60 s"},
            attempts=1,
            loss=0.5,
            validation={**metrics, "auroc": auroc},
            bytes_down=100 * number,
            bytes_up=10 * number,
            bytes_full_exchange=1000,
            seconds=seconds,
            wait_seconds=2.0,
        )

    return make


@pytest.fixture
def fill_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on nothing can be written to disk for good."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr(os, "fsync", refuse)
