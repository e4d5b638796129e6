"""`fedthaw evaluate` as a user calls it: what it writes, against the scores that it writes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, recall_score, roc_auc_score

import fedthaw
from server.results.external import Performance

Row = dict[str, str]
WriteSite = Callable[..., Path]


class Done(NamedTuple):
    """What a command ended with, printed, and said."""

    code: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def call(here: Callable[..., tuple[int, str, str]]) -> Call:
    return lambda *words: Done(*here(*words))


def rows_of(path: Path) -> list[Row]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def with_columns(site: Path, columns: dict[str, Callable[[int], str]]) -> Path:
    """Further columns in the site's table, by the number of its row."""
    head, *rows = (site / "labels.csv").read_text(encoding="utf-8").splitlines()
    lines = [",".join([head, *columns])]
    lines += [
        ",".join([row, *(make(number) for make in columns.values())])
        for number, row in enumerate(rows)
    ]
    (site / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return site


@pytest.fixture(scope="module")
def run(write_site: WriteSite, tmp_path_factory: pytest.TempPathFactory) -> fedthaw.Run:
    folder = tmp_path_factory.mktemp("run")
    sites = [write_site(folder, name, 24, seed=n) for n, name in enumerate(("north", "east"))]
    return fedthaw.simulate(
        sites, out=folder / "first", progress=False, backbone="micro", weights="random",
        image_size=32, probe_rounds=1, rounds=1, threads=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def cohorts(write_site: WriteSite, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("cohorts")
    columns: dict[str, Callable[[int], str]] = {
        "sex": lambda n: "FM"[n % 3 == 0] if n % 7 else "",
        "age": lambda n: str(n % 13),
    }
    return [
        with_columns(write_site(folder, name, 40, seed=n, contrast=30.0), columns)
        for n, name in enumerate(("west", "south"), start=5)
    ]


def groups_of(scores: list[Row]) -> Iterator[tuple[str, str, str, list[Row]]]:
    """The patients of each row of metrics.csv: cohort, column and group."""
    for cohort in ("west", "south", "all cohorts"):
        own = [row for row in scores if cohort in (row["site"], "all cohorts")]
        yield cohort, "", "", own
        for column in ("sex", "age"):
            for group in {row[column] for row in own}:
                yield cohort, column, group, [row for row in own if row[column] == group]


def test_all_that_is_written_follows_from_the_scores_written_beside_it(
    run: fedthaw.Run, cohorts: list[Path], call: Call
) -> None:
    done = call("evaluate", run.folder, *cohorts, "--by", "sex", "--by", "age:4,8", "--json")
    assert done.code == 0, done.err
    folder = run.folder / "external" / "west+south"
    assert {path.name for path in folder.iterdir()} == {
        "evaluation.json", "metrics.csv", "roc.csv", "reliability.csv", "report.html",
        "private-scores.csv",
    }  # fmt: skip
    assert json.loads(done.out) == json.loads((folder / "evaluation.json").read_text())
    scores = rows_of(folder / "private-scores.csv")
    assert len(scores) == 80
    metrics = {
        (row["cohort"], row["subgroup"], row["group"], row["metric"], row["operating_point"]): row
        for row in rows_of(folder / "metrics.csv")
    }
    points = {point.name: point.threshold for point in run.calibration.points}  # type: ignore[union-attr]
    assert points
    for cohort, column, group, patients in groups_of(scores):
        truth = np.array([int(row["truth"]) for row in patients])
        score = np.array([float(row["score"]) for row in patients])
        expected = {
            ("Brier score, uncalibrated", ""): brier_score_loss(truth, score),
            ("prevalence", ""): truth.mean(),
        }
        if 0 < truth.sum() < len(truth):
            expected |= {
                ("AUROC", ""): roc_auc_score(truth, score),
                ("AUPRC", ""): average_precision_score(truth, score),
            } | {
                ("sensitivity", name): recall_score(truth, score >= threshold)
                for name, threshold in points.items()
            }
        for (metric, point), value in expected.items():
            row = metrics[cohort, column, group, metric, point]
            assert float(row["estimate"]) == pytest.approx(value), row
            assert row["audience"] == "owner"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<title>sick (outcome): external validation of first</title>" in page
    assert "For the owner of these folders: nothing is hidden" in page


def test_scores_are_those_that_predict_gives(
    run: fedthaw.Run, cohorts: list[Path], tmp_path: Path
) -> None:
    """By image: a PNG has no Patient ID, so that each patient of one image is compared."""
    (west,) = fedthaw.evaluate(run, cohorts[0], progress=False)
    predicted = fedthaw.predict(run, cohorts[0] / "images", progress=False)
    by_image = {image.file.name: image.probability for image in predicted.images}
    single = [one for one in west.patients if one.images == 1]
    assert len(single) == 26
    for one in single:
        assert one.score == pytest.approx(by_image[f"west-{one.patient[1:]}-0.png"], abs=1e-6)
    assert {path.name for path in run.folder.iterdir()} >= {"private-scores.csv"}


def test_a_second_evaluation_leaves_the_first_as_it_is(
    run: fedthaw.Run, cohorts: list[Path], call: Call, tmp_path: Path
) -> None:
    out = tmp_path / "result"
    assert call("evaluate", run.folder, cohorts[0], "--out", out).code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    again = call("evaluate", run.folder, cohorts[0], "--out", out)
    assert (again.code, again.out) == (2, "")
    assert "is not empty, and no result is overwritten" in again.err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_others_get_no_scores_and_no_small_group(
    run: fedthaw.Run, cohorts: list[Path], call: Call, tmp_path: Path
) -> None:
    out = tmp_path / "others"
    done = call("evaluate", run.folder, cohorts[0], "--by", "sex", "--for-others", "--out", out)
    assert done.code == 0, done.err
    assert not (out / "private-scores.csv").exists()
    document = json.loads((out / "evaluation.json").read_text())
    assert document["audience"] == "others"
    *seen, hidden = document["cohorts"][0]["subgroups"]
    assert all(min(group["positives"], group["negatives"]) >= 5 for group in seen)
    assert hidden == {"column": "sex", "group": "other groups", "shown": False}


def test_a_notebook_gets_the_same(
    run: fedthaw.Run, cohorts: list[Path], call: Call, tmp_path: Path
) -> None:
    found = fedthaw.evaluate(run, cohorts, by="age:4,8", progress=False)
    west, south = found
    assert (len(found), found[1], found.folder) == (2, south, None)
    assert [one.site for one in found.cohorts] == ["west", "south"]
    assert found.pooled is not None
    patients = [one.patients for one in (found.pooled, west.performance, south.performance)
                if isinstance(one, Performance)]  # fmt: skip
    assert patients[0] == patients[1] + patients[2]
    assert [(one.column, one.value) for one in west.subgroups] == [
        ("age", "below 4"), ("age", "4 to below 8"), ("age", "8 or more"), ("age", "several"),
    ]  # fmt: skip
    truth = [one.truth for one in west.patients]
    assert west.metrics.auroc == pytest.approx(
        roc_auc_score(truth, [one.score for one in west.patients])
    )
    written = fedthaw.evaluate(run, cohorts[0], out=tmp_path / "out", progress=False)
    assert written.folder == tmp_path / "out"
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--by", "gender"), "has no column 'gender' for subgroups; its columns are 'patient'"),
        (("--by", "Sex"), "Did you mean 'sex'?"),
        (("--by", "file"), "makes 54 groups; at most 20 are reported"),
        (("--by", "age:8,4"), "must ascend"),
        (("--by", "sex", "--by", "sex"), "given twice"),
    ],
)
def test_columns_are_looked_at_before_an_image_is_read(
    run: fedthaw.Run, cohorts: list[Path], call: Call, words: tuple[str, ...], sentence: str
) -> None:
    before = set(run.folder.rglob("*"))
    done = call("evaluate", run.folder, cohorts[1], *words)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert set(run.folder.rglob("*")) == before


def test_a_cohort_is_named_once(
    run: fedthaw.Run, cohorts: list[Path], write_site: WriteSite, call: Call, tmp_path: Path
) -> None:
    namesake = write_site(tmp_path, "west", 8)
    for words, sentence in {
        (cohorts[0], cohorts[0]): "is given twice; name each folder once",
        (cohorts[0], namesake): "Two cohorts are called 'west'; rename one of them",
    }.items():
        done = call("evaluate", run.folder, *words)
        assert done.code == 2
        assert sentence in done.err


def test_what_speaks_against_the_numbers_is_in_the_file_and_on_the_page(
    run: fedthaw.Run, tmp_path: Path
) -> None:
    own = Path(run.config.site_folders[0])
    (north,) = fedthaw.evaluate(run, own, out=tmp_path / "out", progress=False)
    assert north.remarks[0].startswith("north took part in this run")
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert document["cohorts"][0]["remarks"] == list(north.remarks)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert north.remarks[0] in page
    assert "evaluation, not external" in page
    assert "external validation" not in page


def test_a_simulation_leaves_the_scores_that_its_metrics_are_of(
    run: fedthaw.Run, call: Call
) -> None:
    path = run.folder / "private-scores.csv"
    assert not path.stat().st_mode & 0o077
    rows = rows_of(path)
    assert run.validation is not None
    assert run.calibration is not None
    for name, metrics in {"": run.validation.pooled, **run.validation.sites}.items():
        assert isinstance(metrics, fedthaw.BinaryMetrics)
        own = [row for row in rows if name in ("", row["site"])]
        truth = [int(row["truth"]) for row in own]
        low, high = metrics.auroc_bounds or (0.0, 0.0)
        exact = roc_auc_score(truth, [float(row["score"]) for row in own])
        assert low - 1e-9 <= exact <= high + 1e-9
        assert (sum(truth), len(truth)) == (
            metrics.positives, (metrics.positives or 0) + (metrics.negatives or 0),
        )  # fmt: skip
    site = Path(run.config.site_folders[0])
    assert run.id in call("site", "scores", site).out.splitlines()
    done = call("site", "scores", site, run.id)
    calibrated = call(
        "site", "scores", site, run.id, "--calibration", run.folder / "calibration.json"
    )
    own = [row for row in rows if row["site"] == "north"]
    assert list(csv.DictReader(io.StringIO(calibrated.out))) == own
    plain = list(csv.DictReader(io.StringIO(done.out)))
    assert plain == [{**row, "recalibrated_score": ""} for row in own]


def test_a_simulation_for_others_leaves_no_scores(write_site: WriteSite, tmp_path: Path) -> None:
    sites = [write_site(tmp_path, name, 12) for name in ("north", "east")]
    run = fedthaw.simulate(
        sites, out=tmp_path / "run", progress=False, backbone="micro", weights="random",
        image_size=32, probe_rounds=1, rounds=0, threads=1, for_others=True,
    )  # fmt: skip
    assert not (run.folder / "private-scores.csv").exists()


def test_data_in_one_place_has_the_scores_of_each_owner(
    write_site: WriteSite, tmp_path: Path
) -> None:
    sites = [write_site(tmp_path, name, 12) for name in ("north", "east")]
    run = fedthaw.simulate(
        sites, out=tmp_path / "run", progress=False, backbone="micro", weights="random",
        image_size=32, probe_rounds=1, rounds=0, threads=1, pooled=True,
    )  # fmt: skip
    rows = rows_of(run.folder / "private-scores.csv")
    assert {row["site"] for row in rows} == {"north", "east"}
    assert run.validation is not None
    pooled = run.validation.pooled
    assert isinstance(pooled, fedthaw.BinaryMetrics)
    assert len(rows) == (pooled.positives or 0) + (pooled.negatives or 0)


def test_scores_that_a_site_has_not_kept(write_site: WriteSite, call: Call, tmp_path: Path) -> None:
    site = write_site(tmp_path, "lonely", 8)
    assert call("site", "scores", site).out == ""
    done = call("site", "scores", site, "20260101-000000-abcdef")
    assert done.code == 2
    assert (
        "has kept no scores of the run '20260101-000000-abcdef'; it has those of: none" in done.err
    )
