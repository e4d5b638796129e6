from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from client.data.split import split_patients
from client.model.device import choose_device
from client.settings import load_site
from client.site_folders import site_folders
from client.workspace import (
    Workspace,
    open_workspace,
    shared_model,
    training_samples,
)
from shared.errors import ConfigError, SiteError
from shared.model.network import build_network
from shared.run.events import Event, SiteNote, listening
from shared.settings.config import RunConfig

OpenSite = Callable[..., tuple[Workspace, RunConfig]]
WriteSite = Callable[..., Path]
MakeConfig = Callable[..., RunConfig]


def joined(*folders: Path | str) -> str:
    return os.pathsep.join(map(str, folders))


def pooled(
    tmp_path: Path, write_site: WriteSite, micro_config: MakeConfig, **changes: object
) -> tuple[Workspace, RunConfig]:
    folders = [
        write_site(tmp_path, "north", 12, min_cell=3),
        write_site(tmp_path, "south", 8, seed=1, min_cell=7),
    ]
    config = micro_config(sites=joined(*folders), pooled=True, **changes)
    return open_workspace({"partition-id": 0, "num-partitions": 1}, config), config


def test_the_nodes_own_configuration_names_its_folder(micro_config: MakeConfig) -> None:
    config = micro_config(sites=joined("a", "b"))
    assert site_folders({"site": "/data/north", "partition-id": 1}, config) == (
        Path("/data/north"),
    )
    assert site_folders({"site": "", "partition-id": 1}, config) == (Path("b"),)


def test_in_a_simulation_the_partition_picks_a_folder(micro_config: MakeConfig) -> None:
    config = micro_config(sites=joined("a", "b"))
    assert site_folders({"partition-id": 0}, config) == (Path("a"),)
    with pytest.raises(ConfigError, match=r"more nodes than the 2 folders.*SuperNodes to 2"):
        site_folders({"partition-id": 2}, config)
    together = replace(config, pooled=True)
    assert site_folders({"partition-id": 0}, together) == (Path("a"), Path("b"))


@pytest.mark.parametrize(("node", "sites"), [({}, "a"), ({"partition-id": 0}, "")])
def test_a_node_that_knows_no_folder_is_told_how_to_name_one(
    micro_config: MakeConfig, node: dict[str, object], sites: str
) -> None:
    with pytest.raises(ConfigError, match=r"knows no site folder.*fedthaw site run"):
        site_folders(node, micro_config(sites=sites))


def test_a_site_is_prepared_once(
    open_site: OpenSite, tmp_path: Path, micro_config: MakeConfig
) -> None:
    workspace, config = open_site()
    node = {"site": str(tmp_path / "north")}
    assert open_workspace(node, config) is workspace
    assert open_workspace(node, replace(config, image_size=64)) is not workspace
    assert training_samples(workspace, config) is training_samples(workspace, config)
    assert workspace.name == "north"
    assert len(workspace.all_samples()) == 16


def test_what_was_wrong_is_read_again_once_mended(
    tmp_path: Path, write_site: WriteSite, micro_config: MakeConfig
) -> None:
    folder = write_site(tmp_path, "north")
    text = (folder / "site.toml").read_text()
    (folder / "site.toml").write_text(text.replace("labels.csv", "lables.csv"))
    node, config = {"site": str(folder)}, micro_config()
    with pytest.raises(SiteError, match=r"lables\.csv"):
        open_workspace(node, config)
    (folder / "site.toml").write_text(text)
    assert open_workspace(node, config).name == "north"


def test_a_base_that_its_owner_has_replaced_is_read_anew(
    tmp_path: Path, write_site: WriteSite, micro_config: MakeConfig
) -> None:
    """At the same path; a site's process stays while the coordinator asks again."""
    path = tmp_path / "base.safetensors"
    node = {"site": str(write_site(tmp_path, "north"))}
    config = micro_config(weights=str(path))
    digests = []
    for seed in (1, 2, 2):
        save_file(build_network("micro", seed=seed).state_dict(), path)
        digests.append(open_workspace(node, config, refresh=True).base.digest)
    assert digests[0] != digests[1]
    assert digests[1] == digests[2]


def test_training_and_validation_patients_are_the_splits(open_site: OpenSite) -> None:
    workspace, config = open_site(validation_fraction=0.3)
    samples = training_samples(workspace, config)
    split = split_patients(workspace.parts[0].admission.cohort, 0.3, config.seed)
    assert [s.radiograph for s in samples.train] == list(split.train.radiographs)
    assert [s.radiograph for s in samples.validation] == list(split.validation.radiographs)
    assert samples.patients() == len(split.train.patients())


def test_pooled_data_keeps_every_sites_own_split(
    tmp_path: Path, write_site: WriteSite, micro_config: MakeConfig
) -> None:
    workspace, config = pooled(tmp_path, write_site, micro_config)
    together = training_samples(workspace, config)
    apart = replace(config, pooled=False)
    single = [
        training_samples(open_workspace({"partition-id": index}, apart), apart)
        for index in range(2)
    ]
    for part in ("train", "validation"):
        pooled_samples = [(s.patient, s.radiograph.digest) for s in getattr(together, part)]
        assert pooled_samples == [
            (s.patient, s.radiograph.digest) for one in single for s in getattr(one, part)
        ]
    # Both sites number their patients P0, P1, ...: they are counted apart.
    assert together.patients() == sum(one.patients() for one in single)


def test_pooled_data_keeps_the_strictest_owners_limit(
    tmp_path: Path, write_site: WriteSite, micro_config: MakeConfig
) -> None:
    workspace, _ = pooled(tmp_path, write_site, micro_config)
    assert workspace.min_cell == 7
    assert workspace.name == "pooled"
    assert len(workspace.all_samples()) == 16 + 11


def test_a_cohort_that_cannot_be_trained_on_is_said_when_it_is_to_train(
    tmp_path: Path, write_site: WriteSite, micro_config: MakeConfig
) -> None:
    config = micro_config()
    workspace = open_workspace({"site": str(write_site(tmp_path, "north", 3))}, config)
    assert len(workspace.all_samples()) == 4
    with pytest.raises(SiteError, match="1 positive"):
        training_samples(workspace, config)


def test_warnings_of_admission_are_told(
    tmp_path: Path, write_site: WriteSite, micro_config: MakeConfig
) -> None:
    folder = write_site(tmp_path, "north")
    with (folder / "labels.csv").open("a") as table:
        table.write("P99,nowhere.png,sick\n")
    events: list[Event] = []
    with listening(events.append):
        open_workspace({"site": str(folder)}, micro_config())
    notes = [event for event in events if isinstance(event, SiteNote)]
    assert any("1 row(s) without an image" in note.text for note in notes)
    assert {note.site for note in notes} == {"north"}


def test_the_sites_own_weights_take_the_place_of_the_runs(
    tmp_path: Path, write_site: WriteSite, write_base: Callable[..., Path], micro_config: MakeConfig
) -> None:
    own = write_base(tmp_path / "own.safetensors", seed=8)
    folder = write_site(tmp_path, "north", more=f'weights = "{own}"')
    run = write_base(tmp_path / "run.safetensors", seed=9)
    config = micro_config(weights=str(run))
    alone = open_workspace({"site": str(folder)}, micro_config(weights=str(own)))
    assert open_workspace({"site": str(folder)}, config).base.digest == alone.base.digest


def test_a_site_without_the_teacher_refuses_before_it_reads_an_image(
    tmp_path: Path, write_site: WriteSite, micro_config: MakeConfig
) -> None:
    folder = write_site(tmp_path, "north", more='teacher = "models/teacher"')
    config = micro_config(teacher="/of/the/coordinator", teacher_sha256="ab" * 32)
    with pytest.raises(SiteError, match=f"no folder there.*{'ab' * 32}. Copy") as caught:
        open_workspace({"site": str(folder), "deployed": True}, config)
    assert str(folder / "models" / "teacher") in str(caught.value)
    assert "there is no folder" in caught.value.shareable
    assert "/" not in caught.value.shareable
    assert not load_site(folder).cache.exists()


def test_what_a_run_remembers_lies_in_the_sites_cache(open_site: OpenSite) -> None:
    workspace, _ = open_site()
    cache = workspace.parts[0].settings.cache
    assert workspace.state_folder("run-1") == cache / "rounds" / "run-1" / "north"
    assert Path(os.environ["FEDTHAW_CACHE"]) in cache.parents


def test_opening_writes_nothing_into_the_sites_folder(
    tmp_path: Path, write_site: WriteSite, micro_config: MakeConfig
) -> None:
    folder = write_site(tmp_path, "north")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    config = micro_config()
    training_samples(open_workspace({"site": str(folder)}, config), config)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_one_network_serves_a_process() -> None:
    cpu = torch.device("cpu")
    assert shared_model("micro", 0.1, cpu) is shared_model("micro", 0.1, cpu)
    assert shared_model("micro", 0.1, cpu) is not shared_model("micro", 0.2, cpu)


@pytest.mark.parametrize("present", [True, False])
def test_the_device_is_the_sites_choice(
    tmp_path: Path, write_site: WriteSite, monkeypatch: pytest.MonkeyPatch, present: bool
) -> None:
    settings = replace(load_site(write_site(tmp_path, "north")), device="auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 * present)
    assert choose_device(settings).type == ("cuda" if present else "cpu")
    assert choose_device(replace(settings, device="cpu")).type == "cpu"
    if present:
        assert choose_device(replace(settings, device="cuda:1")) == torch.device("cuda", 1)
        with pytest.raises(SiteError, match=r"'cuda:2', but PyTorch finds 2 GPUs here"):
            choose_device(replace(settings, device="cuda:2"))
    else:
        with pytest.raises(SiteError, match=r"asks for device 'cuda:1'.*no GPU here"):
            choose_device(replace(settings, device="cuda:1"))


def test_a_run_sets_the_threads_of_its_sites(open_site: OpenSite) -> None:
    open_site(threads=2)
    assert torch.get_num_threads() == 2
    open_site(threads=1)
    assert torch.get_num_threads() == 1
