"""plan.json: what a study is, kept before its first run, so that nothing else is added to it.

A study may grow by arms and repeats: its runs stay, and its result is to be computed again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from server.link.jobs.orders import ORDER
from server.results.plan import StudyPlan
from server.study.document import FILE, PLAN
from server.study.plan import quoted
from shared.errors import ConfigError, RunError
from shared.run.events import Warned, emit
from shared.settings.setting import Scalar
from shared.storage.files import keep_private, write_text_atomically
from shared.storage.json_file import DamagedFile, read_json, said, typed


@dataclass(frozen=True)
class KeptPlan:
    """A study as its folder has it."""

    plan: StudyPlan
    settings: Mapping[str, Scalar]
    """Of all arms."""
    sites: tuple[str, ...] | None = None
    """Names of the folders of a simulated study; None: whichever sites a coordinator has."""
    shown: int = 0
    """So many of the arms have been in a result, which cannot be taken back."""
    shown_repeats: int = 0
    """And so many of the repeats."""

    @property
    def asked(self) -> KeptPlan:
        """What its user asks for, without what has been in a result."""
        return replace(self, shown=0, shown_repeats=0)


def keep_to_plan(out: Path, wanted: KeptPlan) -> None:
    """Write the study's plan, or ConfigError where the folder holds what this is not.

    Where the plan has grown, the result is removed, to be computed again.
    """
    if not is_new(out, wanted):
        return
    shown = repeats = 0
    if (out / PLAN).exists():
        shown, repeats = _shown(out, read_kept_plan(out))
        # In this order: a coordinator that saw an order without a result would begin to ask.
        (out / ORDER).unlink(missing_ok=True)
        (out / FILE).unlink(missing_ok=True)
    if (sentence := keep_private(out)) is not None:
        emit(Warned(sentence))
    kept = replace(wanted, shown=shown, shown_repeats=repeats)
    write_text_atomically(out / PLAN, json.dumps(asdict(kept), indent=1) + "\n")


def is_new(out: Path, wanted: KeptPlan) -> bool:
    """Whether this is a new study or one that has grown, rather than the one in the folder.

    Raises ConfigError where the folder holds a run, or a study that this cannot grow from.
    """
    if not (out / PLAN).exists():
        if (out / "config.json").exists():
            raise ConfigError(f"{out} holds a run, not a study; choose another folder.")
        return True
    kept = read_kept_plan(out)
    if kept.asked == wanted.asked:
        return False
    _require_growth(out, kept, wanted)
    return True


def _require_growth(out: Path, kept: KeptPlan, wanted: KeptPlan) -> None:
    before, plan = kept.plan, wanted.plan
    known = {arm.folder: arm for arm in before.arms}
    other = [arm for arm in plan.arms if known.get(arm.folder, arm) != arm]
    if before.quick != plan.quick:
        which = "a quick look" if before.quick else "a study that is not a quick look"
        raise ConfigError(f"{out} holds {which}; choose another folder.")
    if before.folds != plan.folds or kept.settings != wanted.settings or other:
        what = f"another arm '{other[0].name}'" if other else "other folds or settings"
        raise ConfigError(f"{out} holds a study with {what}: see {PLAN}; choose another folder.")
    if kept.sites is not None and set(kept.sites) != set(wanted.sites or ()):
        raise ConfigError(
            f"{out} holds a study of the folders {quoted(sorted(kept.sites))}, and "
            f"{quoted(sorted(wanted.sites or ())) or 'none'} are given; name the same again, "
            "or choose another folder."
        )
    arms, repeats = _shown(out, kept)
    if plan.repeats < repeats:
        raise ConfigError(
            f"{out} has a result of {repeats} repeats, and {plan.repeats} would replace it; "
            f"give --repeats {repeats} to keep it, or choose another folder."
        )
    # What was shown once cannot be taken back, so what is shown now must be chosen beside it.
    shown = before.arms[:arms]
    if plan.arms[: len(shown)] != shown:
        raise ConfigError(
            f"{out} has a result with the arms {quoted(arm.name for arm in shown)}; keep "
            "them first and in this order, and add others after them, or choose another folder."
        )


def _shown(out: Path, kept: KeptPlan) -> tuple[int, int]:
    """How many arms and repeats the result has, or had before the study began to grow."""
    if (out / FILE).exists():
        return len(kept.plan.arms), kept.plan.repeats
    return kept.shown, kept.shown_repeats


def read_plan(folder: Path) -> StudyPlan:
    """The plan of a study; RunError where it is damaged."""
    return read_kept_plan(folder).plan


def read_kept_plan(folder: Path) -> KeptPlan:
    """All that is kept of a study's plan; RunError where it is damaged."""
    path = folder / PLAN
    try:
        return typed(read_json(path), KeptPlan)
    except (OSError, DamagedFile) as error:
        raise RunError(
            f"{path} cannot be read as a study's plan ({said(error)}); remove "
            "the study's folder and begin it again."
        ) from error
