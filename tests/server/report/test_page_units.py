"""The page of a run with schedule=dynamics: units by rounds, and the signals behind them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.report.page import run_page
from server.report.read import read_report
from server.report.sections.units import units_drawn
from server.results.shown import Shown
from server.results.signals import Signals, UnitSignals
from server.run.ledger import append_round, read_rounds
from server.schedule.adaptive import Stretch
from shared.model.network import build_network
from shared.protocol.plan import plan_to_values
from shared.settings.schedule import plan_of_units, plan_round

Tables = Callable[[Any], dict[str, list[list[str]]]]
TRAINED: tuple[set[str], ...] = (
    set(),
    {"layer1.0", "layer3.0"},
    {"layer2.0", "layer4.0"},
    {"layer1.0", "layer4.0"},
)


@pytest.fixture
def run(make_run: Callable[..., Path]) -> Path:
    """Four rounds; the last has a unit without signals."""
    folder = make_run(schedule="dynamics", freeze_rate=0.5, select="coherence", round_budget=0.9)
    config = read_report(folder).config
    ledger = folder / "ledger.jsonl"
    records = read_rounds(ledger)
    ledger.unlink()
    ever: set[str] = {"head"}
    for record, units in zip(records, TRAINED, strict=True):
        plan = plan_of_units(config, record.round, {*units, "head"}, ever)
        ever |= units
        signals = {
            unit: UnitSignals(0.001 * record.round, -0.25 if unit == "layer3.0" else 0.5)
            for unit in sorted({*units, "head"})
            if (unit, record.round) != ("layer4.0", 4)
        }
        shown = dataclasses.replace(
            record, plan=plan_to_values(plan), signals=Signals(signals, 0.693147)
        )
        append_round(ledger, Shown(shown))
    return folder


def test_the_table_has_each_unit(
    run: Path, read_page: Callable[[str], Any], tables: Tables
) -> None:
    page = read_page(run_page(read_report(run)))
    rows = tables(page)["Units, and their signals when they last trained"]
    assert rows[1:] == [
        ["head", "1 to 4", "0.004", "+0.50"],
        ["layer4.0", "3 to 4", "", ""],
        ["layer3.0", "2", "0.002", "-0.25"],
        ["layer2.0", "3", "0.003", "+0.50"],
        ["layer1.0", "2, 4", "0.004", "+0.50"],
        ["stem", "never", "", ""],
    ]
    stages = tables(page)["Stages of which units have trained"]
    assert [row[:2] for row in stages[2:4]] == [["layer4", "3 to 4"], ["layer3", "2"]]
    text = page.text
    assert "the units on whose updates the sites agreed most" in text
    assert "at most 90\u00a0% of the network's weights" in text
    (drawn,) = [
        svg for svg in page.all("svg") if "units-title" in svg.attributes.get("aria-labelledby", "")
    ]
    assert "layer1.0 2, 4; layer2.0 3" in drawn.text


def with_noise(run: Path, noise: float) -> None:
    """The same run, in whose last three rounds sites sent this signal-to-noise of the head."""
    ledger = run / "ledger.jsonl"
    records = read_rounds(ledger)
    ledger.unlink()
    for record in records:
        assert record.signals is not None
        units = dict(record.signals.units)
        if record.round > 1:
            units["head"] = dataclasses.replace(units["head"], signal_to_noise=noise)
        signals = dataclasses.replace(record.signals, units=units)
        append_round(ledger, Shown(dataclasses.replace(record, signals=signals)))


def test_the_signal_to_noise_has_a_picture_and_a_column(
    run: Path, read_page: Callable[[str], Any], tables: Tables
) -> None:
    without = read_page(run_page(read_report(run, 0)))
    assert "signal-to-noise" not in without.text
    with_noise(run, 0.061)
    page = read_page(run_page(read_report(run, 0)))
    rows = tables(page)["Units, and their signals when they last trained"]
    assert rows[0][-1] == "signal-to-noise then"
    assert rows[1] == ["head", "1 to 4", "0.004", "+0.50", "0.061"]
    assert [row[-1] for row in rows[2:]] == [""] * 5
    # What is written of chance is what test_noise.py finds.
    chance = "about 0.05 in the probe and 0.03 to 0.08 after it"
    assert f"Noise alone gives {chance}" in page.text
    assert "signal-to-noise of the gradients: the darker, the larger" in page.text


def test_what_chance_may_give_looks_alike_and_more_is_darker(run: Path) -> None:
    def opacities(noise: float) -> Counter[str]:
        with_noise(run, noise)
        return Counter(re.findall(r"opacity: ([0-9.]+)", units_drawn(read_report(run, 0))))

    pale = opacities(0.081)
    assert opacities(0.0) == opacities(0.026) == opacities(0.053) == pale
    # The head's cell; what is opaque has no opacity.
    for noise, darker in ((0.2, ["0.4"]), (0.5, ["0.8"]), (1.0, []), (9.0, [])):
        found = opacities(noise)
        assert pale - found == Counter(["0.2"])
        assert found - pale == Counter(darker)


def test_a_page_for_others_has_it_where_the_totals_are_shown(run: Path) -> None:
    with_noise(run, 0.061)
    for one in read_report(run, for_others=True).rounds[1:]:
        assert one.signals is not None
        assert one.signals.units["head"].signal_to_noise == (
            0.061 if one.loss is not None else None
        )


@pytest.mark.parametrize("budget", [0.9, 0.5, 0.1])
def test_units_that_no_budget_admits_are_named(
    make_run: Callable[..., Path], read_page: Callable[[str], Any], budget: float
) -> None:
    """Against a count of the weights of torch's own modules."""
    folder = make_run(schedule="dynamics", round_budget=budget)
    network = build_network("micro")
    counts = {
        unit.name: sum(one.numel() for one in network.parameters_of(unit))
        + sum(
            buffer.numel()
            for name in unit.modules
            for key, buffer in network.get_submodule(name).named_buffers()
            if key.endswith(("running_mean", "running_var"))
        )
        for unit in network.backbone.units
    }
    head, most = counts["head"], budget * sum(counts.values())
    never = [
        unit for unit, size in counts.items() if unit not in ("stem", "head") and head + size > most
    ]
    assert len(never) == {0.9: 0, 0.5: 1, 0.1: 2}[budget]
    text = read_page(run_page(read_report(folder))).text
    sentence = (
        f"Too large to train together with the head, so never trained: {' and '.join(never)}."
    )
    assert (sentence in text) == bool(never)
    assert ("so never trained" in text) == bool(never)


def test_a_page_for_others_shows_no_exact_log_loss(
    run: Path, read_page: Callable[[str], Any], tables: Tables
) -> None:
    shown = [r.signals for r in read_report(run, for_others=True).rounds]
    assert all(one is not None and one.log_loss in (None, 0.7, 0.69) for one in shown)
    assert all(one is not None and one.units for one in shown)
    own = [r.signals for r in read_report(run, 0).rounds]
    assert [one and one.log_loss for one in own] == [0.693147] * 4


def test_a_run_that_ended_early_says_so(
    make_run: Callable[..., Path], read_page: Callable[[str], Any], tables: Tables
) -> None:
    """Two rounds of the probe and two after a cut, of at most nine."""
    folder = make_run(schedule="adaptive", patience=2, thaw_at="layer4=0")
    document = json.loads((folder / "config.json").read_text())
    document["config"] |= {"probe-rounds": 2, "rounds": 7}
    (folder / "config.json").write_text(json.dumps(document))
    ledger, config = folder / "ledger.jsonl", read_report(folder).config
    records = read_rounds(ledger)
    ledger.unlink()
    for record in records:
        plan = plan_round(config, record.round)
        signals = Signals({"head": UnitSignals(0.1, 0.2)}, 0.7, 0.61)
        append_round(
            ledger,
            Shown(dataclasses.replace(record, plan=plan_to_values(plan), signals=signals)),
        )
    page = read_page(run_page(read_report(folder)))
    assert "this run ended after 4 of at most 9 rounds" in page.text
    assert "refined log-loss" in page.text
    rows = tables(page)["Stages"]
    assert rows[1:3] == [["head", "1 to 4", "0.001"], ["layer4", "3 to 4", "0.0005"]]
    assert not any("planned" in row for row in rows)


@pytest.fixture
def adaptive(make_run: Callable[..., Path]) -> Callable[..., Any]:
    """The page of a run without a probe, of at most twelve rounds, that was cut after four."""

    def page(losses: tuple[float | None, ...], *, finished: bool) -> Any:
        folder = make_run(schedule="adaptive", patience=2, thaw_at="layer4=0")
        document = json.loads((folder / "config.json").read_text())
        document["config"] |= {"probe-rounds": 0, "rounds": 12}
        (folder / "config.json").write_text(json.dumps(document))
        ledger, config = folder / "ledger.jsonl", read_report(folder).config
        one = read_rounds(ledger)[-1]
        ledger.unlink()
        for number, loss in enumerate(losses, 1):
            plan = plan_round(config, number)
            if number > 4:
                plan = dataclasses.replace(plan, position=number - 4, length=3)
            signals = Signals({"head": UnitSignals(0.1, 0.2)}, 0.7, loss)
            record = dataclasses.replace(
                one, round=number, plan=plan_to_values(plan), signals=signals
            )
            append_round(ledger, Shown(record))
        if not finished:
            (folder / "summary.json").unlink()
        return run_page(read_report(folder, 0))

    return page


def test_what_was_decided_and_why(
    adaptive: Callable[..., Any], read_page: Callable[[str], Any], tables: Tables
) -> None:
    page = read_page(adaptive((0.7, 0.61, 0.65, 0.62, 0.6), finished=False))
    assert "So this run ends after 6 of at most 12 rounds" in page.text
    assert "5 of 6 rounds" in page.text
    decided = tables(page)["What the coordinator decided after each stretch"]
    assert decided == [
        ["rounds", "refined log-loss", "of the stretch before", "the run"],
        ["3 to 4", "0.62", "0.61", "ends after round 6"],
    ]


@pytest.mark.parametrize(
    ("comparable", "min_cell", "cell"),
    [(True, 5, "not shown"), (False, 5, "not comparable"), (False, 0, "not comparable")],
)
def test_what_is_hidden_is_told_from_what_could_not_be_compared(
    run: Path, comparable: bool, min_cell: int, cell: str
) -> None:
    """Where another site was missing there is nothing to hide."""
    report = dataclasses.replace(
        read_report(run), min_cell=min_cell,
        stretches=(Stretch(3, 4, None, None, cut=False, comparable=comparable),),
    )  # fmt: skip
    report = dataclasses.replace(
        report, config=dataclasses.replace(report.config, schedule="adaptive")
    )
    assert units_drawn(report).count(f">{cell}<") == 2


@pytest.mark.parametrize(
    ("loss", "before", "has_learned", "said"),
    [
        (0.69, 0.70, False, "goes on: the log-loss fell"),
        (0.60, 0.70, True, "goes on: the log-loss fell"),
        (0.70, 0.70, False, "goes on: the scores do not tell patients apart yet"),
        (0.71, 0.70, False, "goes on: the scores do not tell patients apart yet"),
        (None, None, True, "goes on"),
    ],
)
def test_why_a_run_goes_on(
    run: Path, tables: Tables, read_page: Callable[[str], Any],
    loss: float | None, before: float | None, has_learned: bool, said: str,
) -> None:  # fmt: skip
    """A loss that fell is reason enough, whatever the scores tell."""
    report = read_report(run)
    report = dataclasses.replace(
        report,
        config=dataclasses.replace(report.config, schedule="adaptive"),
        stretches=(Stretch(3, 4, loss, before, cut=False, has_learned=has_learned),),
    )
    (decided,) = [t for name, t in tables(read_page(run_page(report))).items() if "decided" in name]
    assert decided[1][-1] == said


def test_what_could_not_be_compared(
    adaptive: Callable[..., Any], read_page: Callable[[str], Any], tables: Tables
) -> None:
    page = read_page(adaptive((None, None, None, None, 0.6, 0.6), finished=True))
    assert "So this run ended after 6 of at most 12 rounds" in page.text
    decided = tables(page)["What the coordinator decided after each stretch"]
    assert decided[1] == ["3 to 4", "not comparable", "not comparable", "ends after round 6"]


def test_other_schedules_have_no_such_section(make_run: Callable[..., Path]) -> None:
    folder = make_run(schedule="progressive")
    assert "units-title" not in run_page(read_report(folder))
    assert "signals" not in json.loads((folder / "ledger.jsonl").read_text().splitlines()[0])
