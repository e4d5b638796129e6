"""A teacher at deployed sites: each reads its own copy, outside its folder, in its sandbox.

Their site.toml names the weights of other runs, which a run from nothing leaves aside.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_a_site_without_its_copy_is_named_and_joins_once_it_has_one(
    deploy: Callable[..., Any], tmp_path: Path
) -> None:
    deployment = deploy()
    teacher = tmp_path / "elsewhere" / "teacher"
    settings = ("backbone=micro", "image-size=32", "threads=1", "probe-rounds=1", "rounds=1",
                f"weights={deployment.base}")  # fmt: skip
    flags = [word for one in settings for word in ("--set", one)]
    deployment.command("simulate", *deployment.sites, "--out", teacher, *flags)
    copies = {site.name: tmp_path / "copies" / site.name for site in deployment.sites}
    for site in deployment.sites:
        file = site / "site.toml"
        own = f'teacher = "{copies[site.name]}"\n[policy]'
        file.write_text(file.read_text(encoding="utf-8").replace("[policy]", own), encoding="utf-8")
    shutil.copytree(teacher, copies["east"])
    deployment.serve()
    clients = deployment.clients()
    submitted = deployment.submit(
        teacher=teacher, backbone="tiny", weights="random", schedule="full", probe_rounds=0,
        rounds=2, reconnect_wait=0,
    )  # fmt: skip
    sentence = (
        "north cannot take part: there is no folder where its site.toml has the teacher's run"
    )
    deployment.wait(lambda: sentence in submitted.said, submitted)
    own_words = f"teacher in [compute] of site.toml is {copies['north']}, but there is no folder"
    deployment.wait(lambda: own_words in clients["north"].said, clients["north"])
    shutil.copytree(teacher, copies["north"])
    deployment.finish(submitted)
    assert [sorted(one["sites"]) for one in deployment.rounds()] == [["east", "north"]] * 2
    assert str(copies["north"]) not in submitted.said
    assert (deployment.run_folder() / "model.safetensors").stat().st_size < 100_000
