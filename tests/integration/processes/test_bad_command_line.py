"""What is wrong with the command line, or with the run's folder that it names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from server.run.folder import ended_before_it_began
from shared.model.network import build_network

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("min-sites=3", "min-sites is 3, but this simulation has only 2 of them; lower min-sites, "
         "or name more site folders."),
        ("image-size=16", "image-size is 16; it must lie in 32 to 4096."),
        ("rounds=many", "rounds is 'many'; it must be an integer."),
        ("lr-head=nan", "lr-head is nan; it must lie in 0 to 10."),
        ("strategy=fedsum", "strategy is 'fedsum'; it must be one of fedavg, fedprox, fedadam, "
         "fedyogi, fedavgm, fedmedian, fedtrimmedavg, krum."),
        ("roundz=3", "Unknown setting 'roundz'; did you mean 'rounds'?"),
        ("frobnicate=3", "Unknown setting 'frobnicate'."),
        ("rounds", "'rounds' has no '='; write KEY=VALUE, e.g. rounds=20."),
        ("out=elsewhere", "out cannot be set with --set here; name the site folders as arguments "
         "and use --out, --resume, --pool and --quick."),
        ("weights=none.pt", "There is no weights file at {cwd}/none.pt; weights must be xrv, "
         "imagenet, random, or the path of a .safetensors, .pt or .pth file."),
        ("weights=notes.txt", "{cwd}/notes.txt is not a weights file; its name must end in "
         ".safetensors, .pt or .pth."),
        ("weights=broken.safetensors", "{cwd}/broken.safetensors is not a readable .safetensors "
         "file (Error while deserializing header: header too small); it is damaged or incomplete: "
         "replace it."),
        ("weights=broken.pt", "{cwd}/broken.pt cannot be read as weights: it is damaged or "
         "incomplete (replace it; a cached copy is downloaded again once deleted), or it holds "
         "program code, which is never run (save model.state_dict() as .safetensors)."),
        ("weights=xrv", "weights=xrv exists for backbone resnet50 or densenet121 only, not for "
         "micro; choose that backbone, weights=random, or the path of a checkpoint."),
    ],
)  # fmt: skip
def test_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_sites: Any, tiny: Any, here: Any,
    setting: str, sentence: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("notes.txt", "broken.safetensors", "broken.pt"):
        (tmp_path / name).write_text("hello", encoding="utf-8")
    outcome = here(*tiny(*kept_sites, out="run"), "--set", setting)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"fedthaw: {sentence.replace('{cwd}', str(tmp_path))}\n"
    assert not Path("run").exists() or ended_before_it_began(Path("run"))


@pytest.mark.parametrize("setting", ["rounds=many", "min-sites=3", "weights=broken.pt"])
def test_a_corrected_setting_starts_in_the_same_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kept_sites: Any,
    tiny: Any,
    here: Any,
    setting: str,
) -> None:
    """Whether it is found before there is a folder, among the sites or at the weights."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.pt").write_text("hello", encoding="utf-8")
    assert here(*tiny(*kept_sites, out="run"), "--set", setting).code == 2
    assert here(*tiny(*kept_sites, out="run", rounds=0)).code == 0


def test_a_wrong_setting_makes_no_phantoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = here("simulate", "--set", "rounds=many")
    assert (outcome.code, outcome.err) == (
        2, "fedthaw: rounds is 'many'; it must be an integer.\n",
    )  # fmt: skip
    assert os.listdir(tmp_path) == []


def test_weights_of_another_architecture(
    tmp_path: Path, kept_sites: Any, tiny: Any, here: Any
) -> None:
    file = tmp_path / "resnet18.safetensors"
    save_file(build_network("resnet18", dropout=0.0).state_dict(), file)
    outcome = here(*tiny(*kept_sites, out=tmp_path / "run", weights=file))
    assert outcome.code == 2
    assert outcome.err.startswith(
        f"fedthaw: {file} does not fit the backbone: conv1.weight has shape (64, 1, 7, 7) instead "
        "of (8, 1, 7, 7); "
    )
    assert outcome.err.endswith(
        "; and 100 more. Set backbone to the network that the file is of, or name another file.\n"
    )


def test_a_relative_path_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_sites: Any, tiny: Any, here: Any
) -> None:
    """It is meant from where the command is called, and stays that file when the run goes on."""
    save_file(build_network("micro", dropout=0.0).state_dict(), tmp_path / "base.safetensors")
    monkeypatch.chdir(tmp_path)
    assert here(*tiny(*kept_sites, out="run", rounds=0, weights="base.safetensors")).code == 0
    stored = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert stored["config"]["weights"] == str(tmp_path / "base.safetensors")
    assert stored["base"]["source"] == "file base.safetensors"
    monkeypatch.chdir(tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    assert here("simulate", "--out", tmp_path / "run", "--resume").code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("north", "north"), "The site folder {cwd}/north is given twice; name each site once."),
        (("north", "./east/../north"),
         "The site folder {cwd}/east/../north is given twice; name each site once."),
        (("north", "a:b"), "The site folder {cwd}/a:b has ':' in its path, by which folders are "
         "separated; rename it, or name it by a link."),
        (("north", "west"),
         "There is no site folder {cwd}/west; give a folder that holds site.toml."),
        (("north", "--resume"), "--resume needs --out with the folder of the run to continue."),
    ],
)  # fmt: skip
def test_site_folders(
    monkeypatch: pytest.MonkeyPatch, kept_sites: Any, here: Any, words: Any, sentence: str
) -> None:
    monkeypatch.chdir(kept_sites[0].parent)
    outcome = here("simulate", *words, "--set", "backbone=micro", "--set", "weights=random")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"fedthaw: {sentence.replace('{cwd}', str(kept_sites[0].parent))}\n"


def test_a_run_folder_that_cannot_be_used(
    tmp_path: Path, kept_sites: Any, tiny: Any, here: Any
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    for out, sentence in {
        "file/run": "The run's folder {out} cannot be written (Not a directory); choose another "
        "with --out.",
        "file": "{out} exists and is not empty; name another folder with --out.",
        "thesis": "{out} exists and is not empty; name another folder with --out.",
    }.items():
        folder = tmp_path / out
        outcome = here(*tiny(*kept_sites, out=folder))
        expected = f"fedthaw: {sentence.replace('{out}', str(folder))}\n"
        assert (outcome.code, outcome.out, outcome.err) == (2, "", expected)
    assert os.listdir(tmp_path / "thesis") == ["thesis.tex"]


def test_a_run_folder_without_permission(
    tmp_path: Path, kept_sites: Any, tiny: Any, fedthaw: Any, obeying_permissions: tuple[str, ...]
) -> None:
    for name, mode, sentence in [
        ("read-only", 0o555, "cannot be written (Permission denied); choose another with --out."),
        ("closed", 0o000,
         "cannot be read (Permission denied); check its permissions, or choose another "
         "with --out."),
    ]:  # fmt: skip
        parent = tmp_path / name
        parent.mkdir(mode=mode)
        outcome = fedthaw.run(*tiny(*kept_sites, out=parent / "run"), prefix=obeying_permissions)
        expected = f"fedthaw: The run's folder {parent / 'run'} {sentence}\n"
        assert (outcome.code, outcome.err) == (2, expected)


@pytest.mark.parametrize("name", ["nowhere", "thesis"])
def test_nothing_to_resume(
    tmp_path: Path, kept_sites: Any, tiny: Any, here: Any, name: str
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    folder = tmp_path / name
    for words in (tiny(*kept_sites, out=folder), ["simulate", "--out", folder]):
        outcome = here(*words, "--resume")
        assert (outcome.code, outcome.err) == (
            2,
            f"fedthaw: {folder} is not a run's folder: it has no config.json. Name the folder that "
            "a run was given with --out.\n",
        )
    assert not (tmp_path / "nowhere").exists()


def test_a_finished_run(
    tmp_path: Path, kept_sites: Any, tiny: Any, here: Any, model_of: Any, undisturbed: Any
) -> None:
    """It is not run again: not by mistake, and not with --resume, which shows the result."""
    run = tmp_path / "run"
    words = tiny(*kept_sites, out=run)
    first = here(*words)
    assert first.code == 0
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    again = here(*words)
    assert (again.code, again.out) == (2, "")
    assert again.err == (
        f"fedthaw: {run} already holds a run; continue it with --resume, or name another folder "
        "with --out.\n"
    )
    for resumed in (
        here(*words, "--resume"),
        here(*tiny(*reversed(kept_sites), out=run), "--resume"),
        here("simulate", "--out", run, "--resume"),
    ):
        assert resumed.code == 0
        assert resumed.err == f"The run in {run} is complete; this is its result.\n"
        assert resumed.out == first.out
    shown = here("simulate", "--out", run, "--resume", "--json")
    assert json.loads(shown.out) == json.loads((run / "summary.json").read_text(encoding="utf-8"))
    changed = here(*tiny(*kept_sites, out=run, rounds=9, seed=4), "--resume")
    assert (changed.code, changed.err) == (
        2,
        "fedthaw: A continued run keeps its settings, but rounds was 3 and is now 9, seed was 0 "
        "and is now 4. Leave them as they were, or start a new run with another --out.\n",
    )
    fewer = here(*tiny(kept_sites[0], out=run), "--resume")
    assert fewer.code == 2
    assert "sites was" in fewer.err
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before
    assert model_of(run) == undisturbed()


def test_evaluating_what_cannot_be(tmp_path: Path, kept_sites: Any, tiny: Any, here: Any) -> None:
    run = tmp_path / "run"
    assert here(*tiny(*kept_sites, out=run, rounds=0)).code == 0
    missing = tmp_path / "west"
    for words, sentence in {
        (run, missing): f"{missing} could not be evaluated: There is no site folder {missing}; "
        "give a folder that holds site.toml.",
        (
            missing,
            kept_sites[0],
        ): f"{missing} is not a run's folder: it has no config.json. Name the "
        "folder that a run was given with --out.",
    }.items():
        outcome = here("evaluate", *words)
        assert (outcome.code, outcome.out, outcome.err) == (2, "", f"fedthaw: {sentence}\n")
    (cohort,) = json.loads(here("evaluate", run, kept_sites[0], "--json").out)["cohorts"]
    assert (cohort["positives"], cohort["negatives"]) == (6, 6)
