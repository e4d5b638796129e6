"""Where a continued run goes on."""

from __future__ import annotations

from collections.abc import Sequence

from server.run.checkpoint import Checkpoint, checkpoint_rounds, load_checkpoint
from server.run.exact import cut_exact, exact_rounds
from server.run.folder import RunFolder
from server.run.ledger import UNDONE, RoundRecord, cut_rounds, read_rounds
from shared.errors import RunError
from shared.run.events import Warned, emit


def restore(folder: RunFolder) -> tuple[Checkpoint | None, list[RoundRecord]]:
    """The newest round with a whole checkpoint and its ledger line, and the rounds so far, exactly.

    None and no rounds where the run begins. The lines of later rounds are set aside. RunError where
    a checkpoint cannot be read at this moment, and where all that was done would be lost.
    """
    records = read_rounds(folder.ledger)
    listed = checkpoint_rounds(folder.path)
    checkpoint, damaged = _newest_whole(folder, [n for n in listed if n <= len(records)])
    done = checkpoint.round if checkpoint else 0
    if done < len(records):
        damage = f" (damaged: {', '.join(map(str, sorted(damaged)))})" if damaged else ""
        # Later checkpoints and no earlier one: the ledger was cut off, as who reads it advises.
        was_cut = not damaged and bool(listed)
        if not done and not was_cut:
            raise RunError(
                f"The ledger has {len(records)} rounds, but no whole checkpoint is in "
                f"{folder.path}{damage}; put the files round-*.safetensors back from a copy, or "
                "start a new run."
            )
        emit(
            Warned(
                f"The ledger has {len(records)} rounds, but the newest whole checkpoint is of "
                f"round {done}{damage}; the run goes on after that one. The lines of the rounds "
                f"after it are kept in {UNDONE}."
            )
        )
    cut_rounds(folder.ledger, done)
    cut_exact(folder.path, done)
    return checkpoint, exact_rounds(folder.path, records[:done])


def _newest_whole(folder: RunFolder, rounds: Sequence[int]) -> tuple[Checkpoint | None, list[int]]:
    """The last of these checkpoints that is whole, None where none is; and the damaged ones."""
    damaged: list[int] = []
    for number in reversed(rounds):
        checkpoint = load_checkpoint(folder.path, number)
        if checkpoint is not None:
            return checkpoint, damaged
        damaged.append(number)
    return None, damaged
