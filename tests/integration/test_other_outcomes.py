"""Whole federations of several classes and of labels, against scikit-learn on the raw scores."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score

from client.own_scores import kept_scores
from server.cli.simulate import _show
from server.results.shown import audience_of
from server.run.folder import open_run
from shared.errors import ConfigError, SiteError
from shared.model.network import build_network
from shared.outcome.registry import parse_outcome
from shared.run.events import Event, RoundFinished, listening
from shared.run.score_table import scores_csv
from shared.settings.config import RunConfig

pytestmark = pytest.mark.usefixtures("undrawn")
CLASSES = {"no": "n", "mild": "m", "severe": "s"}
LABELS = ("left", "right")
DECLARED = {
    "classes": "[data.classes]\n" + "\n".join(f'{n} = ["{v}"]' for n, v in CLASSES.items()),
    "labels": "[data.labels]\n"
    + "\n".join(f'{n} = {{ column = "{n}", positive = [1], negative = [0] }}' for n in LABELS),
}
OUTCOMES = {
    "classes": "classes: no | mild | severe",
    "ordinal": "ordinal: no | mild | severe",
    "labels": "labels: left | right",
}


def declare(site: Path, kind: str) -> None:
    """Give a site of a finding another outcome, by the number of its patients."""
    with (site / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (site / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient", "file", "outcome", *LABELS])
        for row in rows:
            number = int(row["patient"][1:])
            # One site lacks the last class, and one has a single patient of it.
            severe = {"north": (), "east": (5,), "south": (2, 5, 8, 11)}[site.name]
            value = "s" if number in severe else "nm"[number % 2]
            left = "" if number % 4 == 0 else str(number % 2)
            right = "" if number % 5 == 1 else str(int(number % 3 == 0))
            writer.writerow([row["patient"], row["file"], value, left, right])
    lines = (site / "site.toml").read_text().splitlines()
    text = [line for line in lines if not line.startswith(("positive", "negative"))]
    at = text.index("[compute]")
    if kind == "labels":
        text[at:at] = [DECLARED["labels"]]
        text = [line for line in text if not line.startswith("outcome")]
        text = [line.replace('labels = "labels.csv"', 'table = "labels.csv"') for line in text]
    else:
        ordinal = ["ordinal = true"] if kind == "ordinal" else []
        text[at:at] = [*ordinal, DECLARED["classes"]]
    (site / "site.toml").write_text("\n".join(text) + "\n")


@pytest.fixture
def other_sites(tmp_path: Path, write_site: Callable[..., Path]) -> Callable[[str], list[Path]]:
    def make(kind: str) -> list[Path]:
        sites = [
            write_site(tmp_path / kind, name, patients, seed=seed)
            for seed, (name, patients) in enumerate({"north": 9, "east": 10, "south": 14}.items())
        ]
        for site in sites:
            declare(site, kind)
        return sites

    return make


def raw_scores(model: Path, site: Path, patient: str, kind: str) -> NDArray[np.float64]:
    """A patient's mean probabilities from the files alone: (classes,), cuts, or (labels,)."""
    outputs = {"classes": 3, "ordinal": 2, "labels": 2}[kind]
    network = build_network("micro", dropout=0.0, outputs=outputs)
    network.load_state_dict(load_file(model))
    network.eval()
    with (site / "labels.csv").open() as file:
        files = [row["file"] for row in csv.DictReader(file) if row["patient"] == patient]
    pixels = np.stack([np.asarray(Image.open(site / "images" / one)) for one in files])
    batch = torch.from_numpy((2 * pixels.astype(np.float32) / 255 - 1) * 1024)[:, None]
    with torch.no_grad():
        logits = network(batch).double()
    if kind == "classes":
        each = torch.softmax(logits, dim=1)
    elif kind == "labels":
        each = torch.sigmoid(logits)
    else:
        first = logits[:, 0]
        each = torch.sigmoid(torch.stack([first, first - torch.log1p(logits[:, 1].exp())], dim=1))
    mean: NDArray[np.float64] = each.mean(dim=0).numpy()
    return mean


def truth_of(site: Path, patient: str, kind: str) -> list[int | None]:
    """The class, or for each label 1, 0 or None."""
    with (site / "labels.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["patient"] == patient)
    if kind == "labels":
        return [int(row[name]) if row[name] else None for name in LABELS]
    return [list(CLASSES.values()).index(row["outcome"])]


def validated(sites: list[Path], run: str) -> list[tuple[Path, str]]:
    return [
        (site, patient.patient)
        for site in sites
        for file in kept_scores(site, run)
        for patient in file.patients
    ]


@pytest.mark.parametrize("kind", list(OUTCOMES))
def test_a_federation(
    kind: str,
    other_sites: Callable[[str], list[Path]],
    federated: Callable[..., RunConfig],
    simulate: Callable[[RunConfig], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sites = other_sites(kind)
    config = federated(sites=sites, outcome=OUTCOMES[kind], validation_fraction=0.4, rounds=2)
    summary = simulate(config)
    folder = Path(config.out)
    everybody = validated(sites, summary["run"])
    scores = np.array([raw_scores(folder / "model.safetensors", *one, kind) for one in everybody])
    truths = [truth_of(*one, kind) for one in everybody]
    pooled = summary["pooled"]
    assert pooled["outcome"] == kind
    if kind == "labels":
        _check_labels(pooled, scores, truths)
    else:
        _check_classes(pooled, scores, np.array(truths)[:, 0], kind)
        assert summary["site"]["north"]["classes"]["severe"]["support"] == 0
    assert not (folder / "calibration.json").exists()  # only a finding has it
    splits = json.loads((folder / "evaluation.json").read_text())["cohorts"]["validation"]["splits"]
    assert set(splits) <= {*CLASSES, *LABELS}
    _show(folder, json_output=False)
    printed = capsys.readouterr().out
    assert all(name in printed for name in parse_outcome(config.outcome).names)
    rows = list(
        csv.DictReader(scores_csv(kept_scores(sites[2], summary["run"]), None).splitlines())
    )
    names = [f"probability {name}" for name in parse_outcome(config.outcome).score_names]
    for row in rows:
        own = scores[everybody.index((sites[2], row["patient"]))]
        shown = [float(row[name]) for name in names]
        wanted = [1 - own[0], own[0] - own[1], own[1]] if kind == "ordinal" else own
        np.testing.assert_allclose(shown, wanted, atol=1e-5)


def _check_classes(
    pooled: dict[str, Any], scores: NDArray[np.float64], truths: NDArray[np.int64], kind: str
) -> None:
    called = scores.argmax(axis=1) if kind == "classes" else (scores >= 0.5).sum(axis=1)
    assert pooled["confusion"] == confusion_matrix(truths, called, labels=[0, 1, 2]).tolist()
    assert pooled["accuracy"] == pytest.approx(accuracy_score(truths, called))
    split = [(truths == n) if kind == "classes" else (truths > n) for n in range(scores.shape[1])]
    areas = [
        roc_auc_score(own, score)
        for own, score in zip(split, scores.T, strict=True)
        if 0 < own.sum() < len(own)
    ]
    assert pooled["auroc"] == pytest.approx(np.mean(areas), abs=0.06)  # bins tie what is near
    assert pooled["patients"] == len(truths)


def _check_labels(
    pooled: dict[str, Any], scores: NDArray[np.float64], truths: list[list[int | None]]
) -> None:
    for n, name in enumerate(LABELS):
        known = [(own[n], score[n]) for own, score in zip(truths, scores, strict=True)
                 if own[n] is not None]  # fmt: skip
        labels, own_scores = zip(*known, strict=True)
        one = pooled["labels"][name]
        assert (one["positives"], one["negatives"]) == (sum(labels), len(labels) - sum(labels))
        assert one["auroc"] == pytest.approx(roc_auc_score(labels, own_scores), abs=0.06)


class Stopped(Exception):
    """As if the process had been killed."""


@contextmanager
def stopping_after(round_number: int) -> Iterator[None]:
    def listener(event: Event) -> None:
        if isinstance(event, RoundFinished) and event.round == round_number:
            raise Stopped

    with listening(listener), pytest.raises(Stopped):
        yield


@pytest.mark.slow
def test_a_run_of_classes_that_is_continued_has_the_same_bytes(
    other_sites: Callable[[str], list[Path]],
    federated: Callable[..., RunConfig],
    simulate: Callable[[RunConfig], dict[str, Any]],
) -> None:
    sites = other_sites("classes")
    settings = {"sites": sites, "outcome": OUTCOMES["classes"], "rounds": 2}
    whole = federated("whole", **settings)
    simulate(whole)
    broken = federated("broken", **settings)
    with stopping_after(2):
        simulate(broken)
    simulate(federated("broken", resume=True, **settings))
    models = [Path(one.out, "model.safetensors").read_bytes() for one in (whole, broken)]
    assert models[0] == models[1]


def test_a_site_of_other_classes_is_refused_with_both(
    other_sites: Callable[[str], list[Path]],
    federated: Callable[..., RunConfig],
    simulate: Callable[[RunConfig], dict[str, Any]],
    here: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
) -> None:
    sites = other_sites("classes")
    toml = sites[1] / "site.toml"
    swapped = toml.read_text().replace('no = ["n"]\nmild = ["m"]', 'mild = ["m"]\nno = ["n"]')
    assert swapped != toml.read_text()
    toml.write_text(swapped)
    ours, theirs = OUTCOMES["classes"], "classes: mild | no | severe"
    with pytest.raises(SiteError) as caught:
        simulate(federated(sites=sites, outcome=ours, min_sites=3, reconnect_wait=0))
    assert f"declares the outcome '{theirs}', and the run predicts '{ours}'" in str(caught.value)
    code, _, said = here("simulate", *sites, "--out", tmp_path / "other")
    assert code == 2
    assert f"north has '{ours}', east has '{theirs}'" in said


def test_others_see_nothing_where_a_site_has_few_patients_of_a_class(
    other_sites: Callable[[str], list[Path]],
    federated: Callable[..., RunConfig],
    simulate: Callable[[RunConfig], dict[str, Any]],
) -> None:
    """The last class is missing at one site, and nowhere are there enough to hide it among."""
    sites = other_sites("classes")
    config = federated(sites=sites, outcome=OUTCOMES["classes"], rounds=1, for_others=True)
    assert audience_of(config) is not audience_of(federated(sites=sites))
    summary = simulate(config)
    for shown in (summary["pooled"], *summary["site"].values()):
        assert shown["outcome"] == "classes"
        assert not any(value for key, value in shown.items() if key != "outcome")
    ledger = Path(config.out, "ledger.jsonl").read_text()
    for line in map(json.loads, ledger.splitlines()):
        for metrics in (line["validation"], *(s["metrics"] for s in line["sites"].values())):
            assert not any(value for key, value in metrics.items() if key != "outcome")


@pytest.mark.parametrize("kind", list(OUTCOMES))
def test_an_evaluation_on_other_cohorts(
    kind: str,
    other_sites: Callable[[str], list[Path]],
    federated: Callable[..., RunConfig],
    simulate: Callable[[RunConfig], dict[str, Any]],
    here: Callable[..., tuple[int, str, str]],
) -> None:
    sites = other_sites(kind)
    config = federated(sites=sites[:2], outcome=OUTCOMES[kind], rounds=0)
    simulate(config)
    run = Path(config.out)
    names = parse_outcome(config.outcome).names
    code, out, stderr = here("evaluate", run, *sites[1:], "--by", "patient:5", "--json")
    assert code == 0, stderr
    assert "east took part in this run" in stderr
    document = json.loads(out)
    assert document["outcome"] == OUTCOMES[kind]
    everybody = []
    for site, cohort in zip(sites[1:], document["cohorts"], strict=True):
        with (site / "labels.csv").open() as file:
            patients = list(dict.fromkeys(row["patient"] for row in csv.DictReader(file)))
        known = [(site, one) for one in patients if any(v is not None for v in
                                                       truth_of(site, one, kind))]  # fmt: skip
        everybody += known
        _check(cohort, run, known, kind)
    _check(document["pooled"], run, everybody, kind)
    folder = next((run / "external").iterdir())
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    key = "all cohorts", "", "", "auroc"
    (area,) = (
        float(row["estimate"])
        for row in rows
        if tuple(row[one] for one in ("cohort", "subgroup", "class", "metric")) == key
    )
    assert area == document["pooled"]["auroc"]
    page = (folder / "report.html").read_text()
    assert all(name in page for name in names)
    assert "mean AUROC" in page
    with (folder / "private-scores.csv").open() as file:
        head, first = next(reader := csv.reader(file)), next(reader)
    assert {f"probability {name}" for name in names} <= set(head)
    assert first[head.index("patient", 3)] == "not a number"  # the column that groups are of
    groups = [one["group"] for one in document["pooled"]["subgroups"]]
    assert groups == ["not a number"]
    code, out, stderr = here("evaluate", run, *sites[1:], "--for-others", "--json")
    assert code == 0, stderr
    shown = json.loads(out)
    assert not any(one["shown"] for one in (*shown["cohorts"], shown["pooled"]))


def _check(found: dict[str, Any], run: Path, everybody: list[tuple[Path, str]], kind: str) -> None:
    scores = np.array([raw_scores(run / "model.safetensors", *one, kind) for one in everybody])
    truths = [truth_of(*one, kind) for one in everybody]
    if kind == "labels":
        _check_labels(found, scores, truths)
    else:
        _check_classes(found, scores, np.array(truths)[:, 0], kind)


def test_what_compares_findings_refuses_other_outcomes(
    other_sites: Callable[[str], list[Path]],
    federated: Callable[..., RunConfig],
    simulate: Callable[[RunConfig], dict[str, Any]],
    here: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
) -> None:
    sites = other_sites("classes")
    config = federated(sites=sites, outcome=OUTCOMES["classes"], rounds=0)
    simulate(config)
    assert open_run(Path(config.out)).config.outcome == OUTCOMES["classes"]
    arms = tmp_path / "arms.toml"
    arms.write_text('[[arm]]\nname = "a"\n[[arm]]\nname = "b"\nset = { outcome = "binary" }\n')
    code, _, said = here("study", *sites, "--arms", arms, "--out", tmp_path / "study")
    assert (code, "Arm 'b' predicts 'binary' and 'a' 'classes:" in said) == (2, True)
    code, _, said = here("study", *sites, "--arms", "baseline", "--out", tmp_path / "study")
    assert (code, "logistic" in said) == (2, True)
    with pytest.raises(ConfigError, match="it must be binary, or such as"):
        federated(outcome="something")
