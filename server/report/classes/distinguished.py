"""What a mean AUROC says of a model, in words."""

from __future__ import annotations

from server.report.discrimination import distinguishes
from server.report.numbers import in_words, listed, metric, metric_interval
from shared.outcome.outcome import Outcome

_NAMED = 6
"""More classes than that are not listed in a sentence."""


def distinguished(
    outcome: Outcome, area: float | None, limits: tuple[float, float] | None
) -> tuple[str, bool]:
    """What the model did, to follow its name, and whether it did more than chance."""
    if area is None:
        text = "could not be judged: the AUROC is not defined, as all patients are of one class"
        return text, False
    said = metric(area)
    said += f" (95 % CI {metric_interval(limits)}" if limits else " (no 95 % CI"
    if not distinguishes(limits):
        return (
            f"did not distinguish {_task(outcome)}: its mean AUROC was {said}; chance is 0.5)",
            False,
        )
    return f"distinguished {_task(outcome)} with a mean AUROC of {said})", True


def _task(outcome: Outcome) -> str:
    names = outcome.names
    which = f" ({listed(names)})" if len(names) <= _NAMED else ""
    return {
        "classes": f"{in_words(len(names), 'class', 'classes')}{which}",
        "ordinal": f"lower from higher grades ({names[0]} to {names[-1]})",
        "labels": f"patients with each of {in_words(len(names), 'finding', 'findings')}{which} "
        "from those without it",
    }[outcome.kind]
