"""In a few words, how many patients an entry of the site's log counts, and under which models."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from shared.outcome.binary import BINARY
from shared.storage.json_file import typed

_CANDIDATE = re.compile(r"^\d+-")
# As shared/protocol names them, whose modules need NumPy and Flower: `site log` loads neither.
_CONFUSION, _LABELS, _GRADES = "class-confusion", "label-pair-patients", "grade-levels"


def require_counts(metrics: Mapping[str, Any]) -> None:
    """DamagedFile where what should be counts cannot be added up."""
    names = (*BINARY.keys, _CONFUSION)
    typed([value for key, value in metrics.items() if _bare(key) in names], list[list[int]])


def in_words(metrics: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """The patients counted in a reply's metrics, or summed over in its report; "" for neither."""
    candidates = [key for key in metrics if _CANDIDATE.match(key)]
    if candidates:
        # All are counted on the same patients: whoever reads a reply requires that.
        first = {_bare(key): metrics[key] for key in candidates if key.startswith("0-")}
        number = len({key.partition("-")[0] for key in candidates})
        return f"{_counted(first)}, under {number} candidates for the final model each"
    if metrics:
        graded = ", and by clinical grade" if _GRADES in metrics else ""
        return f"{_counted(metrics)}{graded}"
    if "pooled" in report or "sums" in report:
        return f"sums over {_summed(report)}, to compare scores"
    return ""


def _counted(metrics: Mapping[str, Any]) -> str:
    if _CONFUSION in metrics:
        return f"counts of {sum(metrics[_CONFUSION])} patients by class"
    whose = "values of labels" if _LABELS in metrics else "patients"
    found = [f"{sum(metrics.get(one.counted_as, []))} {one.word}" for one in BINARY.classes]
    return f"histogram of {' and '.join(found)} {whose}"


def _summed(report: Mapping[str, Any]) -> str:
    by_class = [(report.get(one.counted_as), one.word) for one in BINARY.classes]
    found = [f"{own[0]} {word}" for own, word in by_class if isinstance(own, Sequence) and own]
    return f"{' and '.join(found)} patients" if found else "patients"


def _bare(key: str) -> str:
    """A count's name without the number of its candidate."""
    return _CANDIDATE.sub("", key)
