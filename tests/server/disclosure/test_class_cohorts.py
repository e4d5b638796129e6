"""Several classes or labels for others: hidden sites and rare classes, attacked.

A world says which patients each site has. Worlds of which exactly the same is shown cannot be told
apart by any solver.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.disclosure.classes import ManyCounts
from server.disclosure.run import Disclosure
from server.results.shown import Audience
from server.run.evaluation_file import EvaluationFile
from shared.limits import MIN_CELL
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.kinds import patients_by_class
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.histogram import SCORE_BINS
from shared.outcome.counts import are_hidden
from shared.outcome.outcome import Outcome
from shared.outcome.registry import outcome_of

NOMINAL, ORDINAL = (outcome_of(kind, ["none", "mild", "severe"]) for kind in ("classes", "ordinal"))
LABELS = outcome_of("labels", ["effusion", "oedema"])
OUTCOMES = [NOMINAL, ORDINAL, LABELS]

Patient = tuple[tuple[int, ...], int | tuple[int, ...], int]
"""Bins of the scores, label (or one of each of several), prediction."""


def patients_of(outcome: Outcome, seed: int, each: int) -> list[list[Patient]]:
    """So many patients of each class, or of each combination of labels, at random scores."""
    rng = np.random.default_rng(seed)
    labels: Iterable[Any] = range(3)
    if outcome == LABELS:
        labels = itertools.product((0, 1), repeat=2)
    return [
        [
            (tuple(rng.integers(0, SCORE_BINS, outcome.outputs).tolist()), label,
             int(rng.integers(0, 3)))
            for _ in range(each)
        ]
        for label in labels
    ]  # fmt: skip


def counted(outcome: Outcome, patients: Sequence[Patient]) -> ManyCounts:
    if not patients:
        empty = outcome.empty()
        assert isinstance(empty, ClassCounts | LabelCounts)
        return empty
    bins, labels, predicted = zip(*patients, strict=True)
    if outcome == LABELS:
        return LabelCounts.from_bins(bins, labels)
    return ClassCounts.from_bins(bins, labels, predicted, 3)


def seen_by_others(
    outcome: Outcome, sites: Mapping[str, Sequence[Patient]], least: int = MIN_CELL
) -> dict[str, Any]:
    """All of a cohort's results that are shown; sites flag a class below their own `least`."""
    counts = {name: counted(outcome, own) for name, own in sites.items()}
    small = {name for name, one in counts.items() if min(patients_by_class(one)) < least}
    cohort = Disclosure(outcome=outcome).cohort(
        "validation", counts, small, dict.fromkeys(counts, "")
    )
    file = EvaluationFile({"validation": cohort.counts}).to_json()
    assert EvaluationFile.from_json(file).to_json() == file
    return {"pooled": cohort.pooled, "sites": cohort.sites, "file": file}


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: one.kind)
def test_two_hidden_sites_may_have_shared_their_patients_out_in_many_ways(
    outcome: Outcome,
) -> None:
    """The smallest sums that are shown at all: of one patient less of a class nothing is."""
    groups = len(patients_of(outcome, 0, 0))
    each = MIN_CELL + 2 if groups == 3 else 4  # two combinations make a label
    large = [one for own in patients_of(outcome, 1, 20) for one in own]
    pool = patients_of(outcome, 2, each)
    if groups == 4:
        pool[0], pool[3] = pool[0] + pool[0][:1], pool[3] + pool[3][:1]
    worlds: dict[str, list[tuple[int, ...]]] = {}
    for sizes in itertools.product((1, each - 1), repeat=groups):
        north = [one for own, size in zip(pool, sizes, strict=True) for one in own[:size]]
        south = [one for own, size in zip(pool, sizes, strict=True) for one in own[size:]]
        shown = seen_by_others(outcome, {"large": large, "north": north, "south": south})
        assert are_hidden(shown["sites"]["north"])
        assert are_hidden(shown["sites"]["south"])
        assert not are_hidden(shown["pooled"])
        text = json.dumps(shown)
        worlds.setdefault(text, []).append(patients_by_class(counted(outcome, north)))
    (north_may_have,) = worlds.values()
    for values in zip(*north_may_have, strict=True):
        assert max(values) - min(values) >= MIN_CELL - (groups == 4)
    fewer = [own[:-1] if groups == 3 else own[:2] for own in pool]
    sites = {"north": [own[0] for own in fewer], "south": [one for own in fewer for one in own[1:]]}
    assert are_hidden(seen_by_others(outcome, sites)["pooled"])


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: one.kind)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_nothing_that_is_shown_depends_on_the_patients_of_a_rare_class(
    outcome: Outcome, data: st.DataObject
) -> None:
    """However few of them there are, at whichever site, with whatever scores and predictions."""
    common = patients_of(outcome, 3, 16)
    rare = len(common) - 1
    worlds = []
    for _ in range(2):
        extra = patients_of(outcome, data.draw(st.integers(0, 99)), data.draw(st.integers(0, 4)))
        sites: dict[str, list[Patient]] = {"north": [], "south": []}
        for one in extra[rare]:
            sites[data.draw(st.sampled_from(["north", "south"]))].append(one)
        own: list[Patient]
        if outcome == LABELS:  # of whom oedema alone is known: all but a few have it not
            sites = {
                name: [(bins, (-1, 1), called) for bins, _, called in own]
                for name, own in sites.items()
            }
            own = [
                (bins, (label[0], 0), called)
                for bins, label, called in itertools.chain(*common)
                if isinstance(label, tuple)
            ]
        else:
            own = [one for group in common[:rare] for one in group]
        for number, one in enumerate(own):
            sites["north" if number % 2 else "south"].append(one)
        worlds.append(seen_by_others(outcome, sites))
    assert json.dumps(worlds[0]) == json.dumps(worlds[1])
    pooled = worlds[0]["pooled"]
    assert not are_hidden(pooled)
    hidden = pooled["labels"]["oedema"] if outcome == LABELS else pooled["classes"]["severe"]
    assert set(hidden.values()) == {None}


supports = st.tuples(*[st.integers(0, 12)] * 3)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), supports, min_size=1), st.integers(0, MIN_CELL))
def test_no_set_of_numbers_that_is_shown_determines_a_hidden_class_count(
    table: dict[str, tuple[int, ...]], least: int
) -> None:
    """Each class is a table of its own: rows of the sites shown, and a total."""
    pool = patients_of(NOMINAL, 4, 12)
    sites = {
        name: [one for own, size in zip(pool, sizes, strict=True) for one in own[:size]]
        for name, sizes in table.items()
    }
    shown = seen_by_others(NOMINAL, sites, least)
    rows = {
        name: [one["support"] for one in metrics["classes"].values()]
        for name, metrics in shown["sites"].items()
        if not are_hidden(metrics)
    }
    hidden = set(table) - set(rows)
    for sizes in rows.values():
        assert all(size is None or size >= MIN_CELL for size in sizes)
    if are_hidden(shown["pooled"]):
        assert not rows or hidden
        assert shown["file"]["cohorts"]["validation"].get("splits") is None
        return
    totals = [one["support"] for one in shown["pooled"]["classes"].values()]
    assert shown["pooled"]["patients"] == sum(total or 0 for total in totals)
    for place, total in enumerate(totals):
        if total is None:  # nobody's support of this class is shown, nor any sum with it
            assert all(sizes[place] is None for sizes in rows.values())
            assert sum(sizes[place] for sizes in table.values()) < MIN_CELL
        elif hidden:
            left = total - sum(sizes[place] for sizes in rows.values())
            # Each hidden site has one patient or more, as a reader may know; any share of the rest.
            assert len(hidden) > 1
            assert left - len(hidden) >= MIN_CELL


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcd"), supports, min_size=2),
    st.lists(st.sets(st.sampled_from("abcd"), min_size=1), min_size=1, max_size=4),
)
def test_no_sum_or_difference_of_several_runs_leaves_a_hidden_site(
    table: dict[str, tuple[int, ...]], runs: list[set[str]]
) -> None:
    pool = patients_of(NOMINAL, 4, 12)
    rules = Disclosure(outcome=NOMINAL)
    rows, small = [], set()
    for names in runs:
        counts = {
            name: counted(NOMINAL, [one for own, size in zip(pool, table[name], strict=True)
                                    for one in own[:size]])
            for name in sorted(names & set(table))
        }  # fmt: skip
        if not counts:
            continue
        own = {name for name, one in counts.items() if min(patients_by_class(one)) < MIN_CELL}
        small |= own
        cohort = rules.cohort("validation", counts, own, dict.fromkeys(counts, ""))
        shown = [{name} for name in counts if not are_hidden(cohort.sites[name])]
        shown += [] if are_hidden(cohort.pooled) else [set(counts)]
        rows += [[float(name in group) for name in "abcd"] for group in shown]
    if not rows:
        return
    matrix = np.array(rows)
    for name in small:
        wanted = np.array([[float(name == one) for one in "abcd"]])
        assert np.linalg.matrix_rank(np.vstack([matrix, wanted])) > np.linalg.matrix_rank(matrix)


def test_a_site_that_would_show_a_class_of_two_is_hidden_nevertheless() -> None:
    pool = patients_of(NOMINAL, 5, 20)
    sites = {"north": pool[0] + pool[1] + pool[2][:2], "south": pool[0] + pool[1] + pool[2]}
    shown = seen_by_others(NOMINAL, sites, least=1)
    assert are_hidden(shown["sites"]["north"])


def test_the_owner_sees_all_and_others_rounded_values_and_cells_in_steps() -> None:
    pool = patients_of(NOMINAL, 6, 37)
    counts = {"north": counted(NOMINAL, [one for own in pool for one in own])}
    owner = Disclosure(Audience.OWNER, outcome=NOMINAL)
    whole = owner.cohort("validation", counts, {"north"}, {"north": ""})
    shown = Disclosure(outcome=NOMINAL).cohort("validation", counts, (), {"north": ""})
    exact, rounded = whole.pooled, shown.pooled
    assert exact["confusion"] == counts["north"].confusion.tolist()  # type: ignore[union-attr]
    assert rounded["confusion"] == [[cell // 5 * 5 for cell in row] for row in exact["confusion"]]
    assert rounded["patients"] == exact["patients"] == 111
    for of, to in [(exact, rounded), *zip(exact["classes"].values(), rounded["classes"].values(),
                                          strict=True)]:  # fmt: skip
        for key, value in of.items():
            if isinstance(value, float):
                assert to[key] == pytest.approx(value, abs=0.05)
                assert to[key] == round(to[key], 3)
    assert list(whole.counts.splits) == list(shown.counts.splits) == list(NOMINAL.names)
    for split in shown.counts.splits.values():
        held = split.by_bin[split.by_bin > 0]
        assert held.min() >= MIN_CELL
