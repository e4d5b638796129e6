"""What a site's process keeps between messages, and when it reads its folder again."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.workspace import Workspace, open_workspace, shared_model, training_samples
from shared.errors import SiteError
from shared.settings.config import RunConfig

OpenSite = Callable[..., tuple[Workspace, RunConfig]]
WriteSite = Callable[..., Path]
MakeConfig = Callable[..., RunConfig]


def joined(*folders: Path | str) -> str:
    return os.pathsep.join(map(str, folders))


def add_image(folder: Path, patient: str = "P0") -> None:
    """One more image of a patient, which no other image equals."""
    labels = (folder / "labels.csv").read_text(encoding="utf-8")
    number = len(labels.splitlines())
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "images" / f"new-{number}.png")
    (folder / "labels.csv").write_text(f"{labels}{patient},new-{number}.png,well\n", "utf-8")


def test_what_is_new_is_read_when_it_is_asked_for(open_site: OpenSite, tmp_path: Path) -> None:
    workspace, config = open_site()
    node = {"site": str(tmp_path / "north")}
    add_image(tmp_path / "north")
    assert open_workspace(node, config) is workspace  # in the middle of a run nothing changes
    again = open_workspace(node, config, refresh=True)
    assert len(again.all_samples()) == len(workspace.all_samples()) + 1 == 17
    assert open_workspace(node, config) is again
    before, after = (training_samples(one, config) for one in (workspace, again))
    assert len(after.train + after.validation) == len(before.train + before.validation) + 1


def test_a_site_that_is_spoilt_meanwhile_is_not_kept(open_site: OpenSite, tmp_path: Path) -> None:
    workspace, config = open_site()
    node = {"site": str(tmp_path / "north")}
    labels = tmp_path / "north" / "labels.csv"
    whole = labels.read_text(encoding="utf-8")
    labels.unlink()
    with pytest.raises(SiteError, match=r"labels\.csv"):
        open_workspace(node, config, refresh=True)
    with pytest.raises(SiteError, match=r"labels\.csv"):  # the old one would train on what is gone
        open_workspace(node, config)
    labels.write_text(whole, encoding="utf-8")
    mended = open_workspace(node, config)
    assert mended is not workspace
    assert len(mended.all_samples()) == 16


def test_only_the_last_workspace_of_a_node_is_kept(
    tmp_path: Path, write_site: WriteSite, micro_config: MakeConfig
) -> None:
    """A site's process stays up for months, and every run has settings of its own."""
    nodes = [{"site": str(write_site(tmp_path, name))} for name in ("north", "east")]
    kept: dict[str, list[weakref.ref[object]]] = {"workspaces": [], "bases": [], "samples": []}
    for seed in range(8):
        config = micro_config(seed=seed)
        for node in nodes:
            workspace = open_workspace(node, config)
            assert open_workspace(node, config) is workspace
            kept["workspaces"].append(weakref.ref(workspace))
            kept["bases"].append(weakref.ref(workspace.base))
            kept["samples"].append(weakref.ref(training_samples(workspace, config)))
            shared_model(config.backbone, seed / 100, workspace.device)
    del workspace
    gc.collect()
    alive = {what: [n for n, ref in enumerate(refs) if ref()] for what, refs in kept.items()}
    assert alive["workspaces"] == alive["samples"] == [14, 15]
    assert len(alive["bases"]) <= 4
    assert open_workspace(nodes[0], config) is kept["workspaces"][14]()


def test_a_node_of_a_simulation_keeps_its_own(
    tmp_path: Path, write_site: WriteSite, micro_config: MakeConfig
) -> None:
    """They take turns in one process; none makes another read its images again."""
    folders = [write_site(tmp_path, name) for name in ("north", "east")]
    config = micro_config(sites=joined(*folders))
    first = [open_workspace({"partition-id": n}, config) for n in (0, 1)]
    assert [one.name for one in first] == ["north", "east"]
    again = [open_workspace({"partition-id": n}, config) for n in (0, 1)]
    assert all(one is other for one, other in zip(first, again, strict=True))


def test_a_coordinator_elsewhere_names_no_file_of_this_machine(
    tmp_path: Path, write_site: Callable[..., Path], write_base: Callable[..., Path],
    micro_config: Callable[..., RunConfig],
) -> None:  # fmt: skip
    """A deployed site loads its own copy; a simulation's sites are on one machine."""
    base = write_base(tmp_path / "base.safetensors")
    config = micro_config(weights=str(base))
    without = write_site(tmp_path / "a", "north")
    with pytest.raises(SiteError, match="name this site's copy") as caught:
        open_workspace({"site": str(without), "deployed": True}, config)
    assert str(tmp_path) not in caught.value.shareable
    own = write_site(tmp_path / "b", "north", more=f'weights = "{base}"')
    digest = open_workspace({"site": str(own), "deployed": True}, config).base.digest
    simulated = micro_config(weights=str(base), sites=str(without))
    assert open_workspace({"partition-id": 0}, simulated).base.digest == digest
