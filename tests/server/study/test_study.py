from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from client.scores import load_scores
from server.run.evaluation_file import read_evaluation
from server.study.plan import read_arms, shipped_arms
from shared.errors import ConfigError
from shared.metrics.binary import auroc
from shared.metrics.histogram import Histogram

Here = Callable[..., tuple[int, str, str]]
Words = Callable[..., list[object]]
ARMS = """
[[arm]]
name = "first"
[[arm]]
name = "the same again"
[[arm]]
name = "full, faster"
set = { schedule = "full", lr-head = 0.01 }
"""


def pooled(out: Path, arm: str, repeat: int) -> Histogram:
    """The held-out counts of a repeat, added up over its folds from the runs' own files."""
    total = Histogram.empty()
    for fold in range(2):
        found = read_evaluation(out / arm / f"repeat-{repeat}-fold-{fold}")
        assert found is not None
        counts = found.cohorts["test"].pooled
        assert counts is not None
        total += counts
    return total


def kept_scores(out: Path, arm: str, repeat: int) -> dict[tuple[str, str], tuple[int, int]]:
    """Label and score bin of every patient, from the sites' own files."""
    found = {}
    for fold in range(2):
        summary = json.loads((out / arm / f"repeat-{repeat}-fold-{fold}/summary.json").read_text())
        files = list(
            Path(os.environ["FEDTHAW_CACHE"]).rglob(f"{summary['run']}/*/scores-test.json")
        )
        assert len(files) == 2
        for score in chain.from_iterable(load_scores(file) or () for file in files):
            assert score.key not in found
            found[score.key] = score.label, score.bin
    return found


def slow_p(out: Path, arm: str, first: str) -> float:
    """Two-sided p of the mean difference over both repeats, patient by patient."""
    places = []
    for repeat in range(2):
        scored = [kept_scores(out, one, repeat) for one in (arm, first)]
        patients = sorted(scored[0])
        assert patients == sorted(scored[1])
        labels = np.array([scored[0][patient][0] for patient in patients])
        of_arms = []
        for own in scored:
            bins = np.array([own[patient][1] for patient in patients])
            above = np.heaviside(bins[labels == 1, None] - bins[None, labels == 0], 0.5)
            of_arms.append((above.mean(axis=1), above.mean(axis=0)))
        places.append([a - b for a, b in zip(*of_arms, strict=True)])
    differences = [positive.mean() for positive, _ in places]
    variance = np.var(differences, ddof=1) / 2
    for k in (0, 1):
        mean_places = np.mean([one[k] for one in places], axis=0)
        variance += np.var(mean_places, ddof=1) / len(mean_places)
    return float(2 * stats.norm.sf(abs(np.mean(differences)) / np.sqrt(variance)))


def test_a_study_from_arms_to_tables(
    two_sites: list[Path], runs: list[str], here: Here, words: Words, tmp_path: Path
) -> None:
    arms, out = tmp_path / "arms.toml", tmp_path / "study"
    arms.write_text(ARMS)
    code, said, stderr = here(*words(two_sites, out, "--arms", arms, "--json"))
    assert code == 0, stderr
    assert len(runs) == 3 * 2 * 2
    text = (out / "study.json").read_text()
    assert said.endswith(text + "\n")
    result: dict[str, Any] = json.loads(text)

    for arm, folder in zip(result["arms"], ("first", "the-same-again", "full-faster"), strict=True):
        areas = [auroc(pooled(out, folder, repeat)) for repeat in range(2)]
        assert None not in areas
        assert arm["auroc"]["mean"] == pytest.approx(sum(a or 0.0 for a in areas) / 2)
        assert sum(arm["patients"]) == 28
    same, faster = result["comparisons"]
    # Two identical arms differ by nothing, in every repeat, and every test says so.
    assert (same["difference"]["mean"], same["p"], same["p_holm"]) == (0.0, 1.0, 1.0)
    assert same["signed_rank"]["p"] == 1.0
    assert same["signed_rank"]["smallest_p"] == 0.5
    difference = result["arms"][2]["auroc"]["mean"] - result["arms"][0]["auroc"]["mean"]
    assert faster["difference"]["mean"] == pytest.approx(difference)
    assert faster["p"] == pytest.approx(slow_p(out, "full-faster", "first"))
    assert faster["p_holm"] == pytest.approx(min(1.0, 2 * faster["p"]))

    with (out / "arms.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["arm"] for row in rows] == ["first", "the same again", "full, faster"]
    assert rows[0]["AUROC"] == rows[1]["AUROC"]
    assert {row["rounds a run"] for row in rows} == {"2"}
    assert "rounds a run" not in stderr + said.replace(text, "")  # of as many rounds all runs are
    assert (out / "study.md").read_text().count("| first |") == 3
    assert r"\begin{tabular}" in (out / "study.tex").read_text()
    page = (out / "report.html").read_text()
    assert f"study {out.name}" in page
    assert "/" + arms.name not in page
    assert here("report", out, "--out", tmp_path / "again.html")[0] == 0
    assert (tmp_path / "again.html").read_text() == page


def test_what_is_done_is_not_done_again(
    two_sites: list[Path], runs: list[str], here: Here, words: Words, tmp_path: Path
) -> None:
    arms, out = tmp_path / "arms.toml", tmp_path / "study"
    arms.write_text(ARMS.split('[[arm]]\nname = "full', maxsplit=1)[0])
    given = words(two_sites, out, "--arms", arms, "--repeats", 1)
    assert here(*given)[0] == 0
    before = (out / "study.json").read_bytes()
    (out / "first" / "repeat-0-fold-1" / "summary.json").unlink()
    runs.clear()
    assert here(*given)[0] == 0
    assert runs == ["first 0 1"]
    assert (out / "study.json").read_bytes() == before


@pytest.mark.slow
def test_a_study_grows_by_repeats_and_arms(
    two_sites: list[Path], runs: list[str], here: Here, words: Words, tmp_path: Path
) -> None:
    """And by nothing that would take back what it has shown."""
    arms, out = tmp_path / "arms.toml", tmp_path / "study"
    one, _, third = ARMS.split("[[arm]]")[1:]
    arms.write_text(f"[[arm]]{one}")
    assert here(*words(two_sites, out, "--arms", arms, "--repeats", 1))[0] == 0
    arms.write_text(f"[[arm]]{one}[[arm]]{third}")
    runs.clear()
    assert here(*words(two_sites, out, "--arms", arms, "--repeats", 2))[0] == 0
    assert sorted(runs) == ["first 1 0", "first 1 1", *(f"full, faster {n}" for n in
                            ("0 0", "0 1", "1 0", "1 1"))]  # fmt: skip
    grown = (out / "study.json").read_bytes()
    again = tmp_path / "again"
    assert here(*words(two_sites, again, "--arms", arms, "--repeats", 2))[0] == 0
    assert (again / "study.json").read_bytes() == grown

    runs.clear()
    for text, more, said in (
        (f"[[arm]]{third}[[arm]]{one}", (), "keep them first and in this order"),
        (f"[[arm]]{one}", (), "has a result with the arms 'first', 'full, faster';"),
        (f"[[arm]]{one}[[arm]]{third.replace('0.01', '0.02')}", (), "another arm 'full, faster'"),
        (f"[[arm]]{one}[[arm]]{third}", ("--folds", 3), "other folds or settings"),
        (f"[[arm]]{one}[[arm]]{third}", ("--set", "rounds=2"), "other folds or settings"),
    ):
        arms.write_text(text)
        code, _, stderr = here(*words(two_sites, out, "--arms", arms, *more))
        assert code == 2
        assert said in stderr
    assert not runs
    assert (out / "study.json").read_bytes() == grown


def test_each_site_alone_and_all_data_in_one_place(
    two_sites: list[Path], runs: list[str], here: Here, words: Words, tmp_path: Path
) -> None:
    """Compared in the patients that both arms have: a site's own, or everybody's."""
    arms, out = tmp_path / "arms.toml", tmp_path / "study"
    arms.write_text('[[arm]]\nname = "federated"\n')
    given = words(
        two_sites, out, "--arms", arms, "--repeats", 1, "--each-site", "--set", "min-sites=2"
    )
    code, _, stderr = here(*given)
    assert code == 0, stderr
    result = json.loads((out / "study.json").read_text())
    assert [one["arm"]["name"] for one in result["arms"]] == [
        "federated", "a alone", "b alone", "all data in one place",
    ]  # fmt: skip
    assert [one["sites"] for one in result["comparisons"]] == [["a"], ["b"], ["a", "b"]]
    assert [sum(one["patients"]) for one in result["arms"]] == [28, 14, 14, 28]


def test_a_site_below_its_min_cell_is_not_shown_alone(
    tmp_path: Path, write_site: Callable[..., Path], runs: list[str], here: Here, words: Words
) -> None:
    """Nor is the other one, since all less that one is the first."""
    folder = tmp_path / "sites"
    sites = [write_site(folder, "a", 14, min_cell=8), write_site(folder, "b", 14, seed=1)]
    arms, out = tmp_path / "arms.toml", tmp_path / "study"
    arms.write_text('[[arm]]\nname = "federated"\n')
    code, said, stderr = here(
        *words(
            sites, out, "--arms", arms, "--repeats", 1, "--set", "for-others=true", "--each-site"
        )
    )
    assert code == 0, stderr
    result = json.loads((out / "study.json").read_text())
    assert [one["arm"]["name"] for one in result["arms"]] == ["federated", "all data in one place"]
    assert [one["arm"]["name"] for one in result["comparisons"]] == ["all data in one place"]
    assert result["not_shown"] == ["a alone", "b alone"]
    for text in (said, (out / "study.md").read_text(), (out / "report.html").read_text()):
        assert "Not shown: a alone, b alone" in text


def test_the_arm_to_compare_with_must_be_shown(
    tmp_path: Path, write_site: Callable[..., Path], runs: list[str], here: Here, words: Words
) -> None:
    sites = [write_site(tmp_path / "sites", "a", 14, min_cell=8)]
    arms = tmp_path / "arms.toml"
    arms.write_text('[[arm]]\nname = "alone"\n')
    code, _, stderr = here(
        *words(
            sites, tmp_path / "study", "--arms", arms, "--repeats", 1, "--set", "for-others=true"
        )
    )
    assert code == 1
    assert "Arm 'alone' is of sites with fewer patients of a class than their min-cell" in stderr
    assert not (tmp_path / "study" / "study.json").exists()


def test_another_arm_may_be_first_before_there_is_a_result(
    tmp_path: Path, write_site: Callable[..., Path], runs: list[str], here: Here, words: Words
) -> None:
    folder = tmp_path / "sites"
    sites = [write_site(folder, "a", 14, min_cell=8), write_site(folder, "b", 14, seed=1)]
    arms, alone = tmp_path / "arms.toml", '[[arm]]\nname = "alone"\nsites = ["a"]\n'
    arms.write_text(f'{alone}[[arm]]\nname = "all"\n')
    given = words(
        sites, tmp_path / "study", "--arms", arms, "--repeats", 1, "--set", "for-others=true"
    )
    code, _, stderr = here(*given)
    assert code == 1
    assert "put another arm first" in stderr
    runs.clear()
    arms.write_text(f'[[arm]]\nname = "all"\n{alone}')
    code, said, stderr = here(*given)
    assert code == 0, stderr
    assert not runs
    assert "Not shown: alone" in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no arm"),
        ("[[arm]]\nname = 3", "an arm's name is 3"),
        ("[[arm]]\nname = 'x'\nsets = {}", "unknown key 'sets'"),
        ("[[arm]]\nname = 'x'\nset = { round = 3 }", "Unknown setting 'round'"),
        ("[[arm]]\nname = 'x'\nset = { seed = 3 }", "arm 'x': seed is set by the study"),
        ("[[arm]]\nname = 'x'\nset = ['rounds=3']", "it must be a table"),
        ("[[arm]]\nname = 'x'\npooled = 'false'", "it must be true or false"),
        ("arm = 3", r"a table of its own, with \[\[arm\]\] above it"),
        ("[arm]\nname = 'x'", r"a table of its own, with \[\[arm\]\] above it"),
        ("[[arm]]\nname = 'x'\nsites = 'north'", "it must be a list of names"),
        ("arm = ", "is not valid TOML"),
    ],
)
def test_arms_that_are_none(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "arms.toml").write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        read_arms(str(tmp_path / "arms.toml"))


def test_arms_as_other_editors_write_them(tmp_path: Path) -> None:
    """With a byte order mark; in Latin-1 they are refused in a sentence."""
    path = tmp_path / "arms.toml"
    path.write_bytes("[[arm]]\nname = 'x'\n# größer\n".encode("utf-8-sig"))
    assert [arm.name for arm in read_arms(str(path))] == ["x"]
    path.write_bytes("[[arm]]\nname = 'x'\n# größer\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="cannot be read as UTF-8 text"):
        read_arms(str(path))


def test_arms_that_come_with_it() -> None:
    assert "paper" in shipped_arms()
    for name in shipped_arms():
        assert len(read_arms(name)) > 1
    with pytest.raises(ConfigError, match="paper"):
        read_arms("nowhere.toml")
