"""Rounds put on disk in the background, while the next one is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Self

from server.results.shown import Shown
from server.run.checkpoint import Checkpoint, prune_checkpoints, save_checkpoint
from server.run.exact import append_exact
from server.run.folder import RunFolder
from server.run.ledger import RoundRecord, append_round
from shared.run.events import Warned, emit

PATIENCE_SECONDS = 10.0
"""How long a run that ends by an error or by Ctrl-C still waits for the disk."""


def save_round(
    folder: RunFolder,
    state: Checkpoint,
    exact: RoundRecord,
    shown: Shown[RoundRecord],
    keep: Collection[int],
) -> None:
    """The checkpoint, then its line in the ledger, then those that nobody needs any more away.

    In this order, so that a round counts once both are whole. The exact numbers are kept beside
    them where the ledger has others. Raises RunError where the disk does not take it; the rounds
    before it stay.
    """
    save_checkpoint(folder.path, state)
    if shown.value != exact:
        append_exact(folder.path, exact)
    append_round(folder.ledger, shown)
    prune_checkpoints(folder.path, set(keep))


def kept_rounds(records: Sequence[RoundRecord]) -> set[int]:
    """The rounds whose checkpoints stay: the last two, and the best that has been evaluated.

    Round n's record evaluates the model after round n - 1.
    """
    last = records[-1].round
    evaluated = [r for r in records if r.auroc is not None and r.round > 1]
    best = max(evaluated, key=lambda r: (r.auroc or 0.0, r.round), default=None)
    return {last, last - 1} | ({best.round - 1} if best else set())


class RoundWriter:
    """One job at a time, in a thread of its own; a context, which leaves no thread behind.

    What a job raises is raised by whichever of `start`, `check` and `finish` comes next.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, job: Callable[[], None]) -> None:
        """Begin a job once the one before it has ended well."""
        self.finish()
        # A daemon, so that a disk that never answers does not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, args=(job,), daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what has ended the job; never waits."""
        if self._error is not None:
            self.finish()

    def finish(self) -> None:
        """Wait for the job and raise what has ended it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the job end. Where an error ends the block, what ends the job is only reported."""
        if error is None:
            self.finish()
        elif self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)
            if self._thread.is_alive():
                emit(Warned("The disk does not answer: the last round is not saved."))
            elif self._error is not None:
                emit(Warned(str(self._error)))

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            self._error = error
