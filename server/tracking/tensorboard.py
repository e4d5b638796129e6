"""Metrics by round as TensorBoard reads them, in the run's folder.

Written with TensorBoard's own record writer rather than torch's SummaryWriter, whose second thread
prints a traceback when the disk is full and may wait for ever when it is closed after that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server.run.ledger import RoundRecord
from server.tracking.recorder import Outcome, Recorder
from server.tracking.scalars import final_scalars, scalars

FOLDER = "tensorboard"


@contextmanager
def tensorboard_recorder(run: Path) -> Iterator[Recorder]:
    """Write a new file of events in the run's folder; OSError where the disk does not take it.

    All rounds of the ledger are written, and the file begins by declaring whatever the files
    before it hold as void: so a continued run has each step once, whenever it was killed.
    """
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    with (folder / _file_name(time.time_ns())).open("xb") as file:
        writer = RecordWriter(file)

        def write(**fields: Any) -> None:
            writer.write(Event(wall_time=time.time(), **fields).SerializeToString())
            file.flush()

        def show(step: int, values: Mapping[str, float]) -> None:
            found = [Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]
            write(step=step, summary=Summary(value=found))

        write(file_version="brain.Event:2")
        write(step=0, session_log=SessionLog(status=SessionLog.START))
        last = 0

        def add(record: RoundRecord) -> None:
            nonlocal last
            if record.round <= last:  # it is done again: what was written of it is void
                write(step=record.round, session_log=SessionLog(status=SessionLog.START))
            last = record.round
            show(record.round, scalars(record))

        def finish(outcome: Outcome) -> None:
            if outcome.summary is not None:
                show(last, final_scalars(outcome.summary))

        yield Recorder(add, finish)


def _file_name(nanoseconds: int) -> str:
    """TensorBoard reads the files of a folder in the order of their names."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"events.out.tfevents.{seconds:010d}.{rest:09d}.fedthaw"
