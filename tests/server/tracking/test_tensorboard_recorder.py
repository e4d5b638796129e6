"""What TensorBoard's own reader finds in a run's folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from server.run.folder import RunFolder
from server.run.ledger import RoundRecord
from server.tracking.recorder import Outcome
from server.tracking.tensorboard import tensorboard_recorder

Grow = Callable[[Iterable[int]], list[RoundRecord]]
Curves = dict[str, list[tuple[int, float]]]
KILLED = Outcome("interrupted")


def curves(run: Path) -> Curves:
    """Tag -> (step, value), as TensorBoard shows them."""
    reader = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


def record(run: RunFolder, records: Iterable[RoundRecord], outcome: Outcome = KILLED) -> None:
    with tensorboard_recorder(run.path) as recorder:
        for one in records:
            recorder.add(one)
        recorder.finish(outcome)


def test_its_reader_finds_the_ledger(run: RunFolder, grow: Grow) -> None:
    record(run, grow([1, 2, 3]))
    shown = curves(run.path)
    lines = [json.loads(line) for line in run.ledger.read_text(encoding="utf-8").splitlines()]
    expected: Curves = {
        "loss": [(line["round"], line["loss"]) for line in lines],
        "bytes/down": [(line["round"], line["bytes_down"]) for line in lines],
        "bytes/up": [(line["round"], line["bytes_up"]) for line in lines],
        "seconds/round": [(line["round"], line["seconds"]) for line in lines],
        "site/east/loss": [(line["round"], line["sites"]["east"]["loss"]) for line in lines],
        "site/east/auroc": [
            (line["round"], line["sites"]["east"]["metrics"]["auroc"]) for line in lines
        ],
        **{
            f"validation/{name}": [(line["round"], line["validation"][name]) for line in lines]
            for name in ("auroc", "balanced_accuracy", "brier", "ece")
        },
    }
    for tag, points in expected.items():
        assert [step for step, _ in shown[tag]] == [1, 2, 3]
        assert [v for _, v in shown[tag]] == pytest.approx([v for _, v in points], rel=1e-6)
    assert not [tag for tag in shown if "north" in tag]


def test_a_round_is_there_before_the_next_one(run: RunFolder, grow: Grow) -> None:
    with tensorboard_recorder(run.path) as recorder:
        for number in (1, 2):
            recorder.add(*grow([number]))
            assert [step for step, _ in curves(run.path)["loss"]] == list(range(1, number + 1))


@pytest.mark.parametrize("cut", [0, 7])
def test_a_continued_run_has_each_step_once(run: RunFolder, grow: Grow, cut: int) -> None:
    """Also after a kill in the middle of an event, and where it goes on from an earlier round."""
    records = grow(range(1, 6))
    record(run, records[:4])
    (file,) = (run.path / "tensorboard").iterdir()
    content = file.read_bytes()
    file.write_bytes(content[: len(content) - cut])
    record(run, records[:2])
    assert [step for step, _ in curves(run.path)["loss"]] == [1, 2]
    record(run, records)
    shown = curves(run.path)
    assert [step for step, _ in shown["validation/auroc"]] == [1, 2, 3, 4, 5]
    assert [value for _, value in shown["validation/auroc"]] == pytest.approx(
        [one.validation["auroc"] for one in records], rel=1e-6
    )


def test_the_final_model_stands_at_the_last_round(run: RunFolder, grow: Grow) -> None:
    record(run, grow([1, 2]), Outcome("complete", {"pooled": {"auroc": 0.875, "ece": None}}))
    shown = curves(run.path)
    assert shown["final/auroc"] == [(2, 0.875)]
    assert "final/ece" not in shown


def test_a_folder_that_cannot_be_made(run: RunFolder) -> None:
    (run.path / "tensorboard").touch()
    with pytest.raises(OSError, match="exists"), tensorboard_recorder(run.path):
        pass


def test_a_round_that_is_done_again_has_its_last_values(
    run: RunFolder, grow: Grow, make_record: Callable[..., RoundRecord]
) -> None:
    again = make_record(3, auroc=0.9)
    record(run, [*grow([1, 2, 3]), again, *grow([4])])
    steps, values = zip(*curves(run.path)["validation/auroc"], strict=True)
    assert steps == (1, 2, 3, 4)
    assert values == pytest.approx([0.51, 0.52, 0.9, 0.54])
