"""A finished run's model as a teacher: what its student's loss is, and which model it must be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.special import expit, log_expit

from client.data.dataset import Sample
from client.model.teacher import Teacher, require_own_teacher, site_teacher
from client.train.trainer import train_round
from server.run.paths import with_absolute_paths
from shared.errors import ConfigError, SiteError
from shared.model.network import Network, build_network
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round
from shared.storage.digest import file_sha256

CPU = torch.device("cpu")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a run whose model is a tiny network at 48 px."""
    config = RunConfig(backbone="tiny", weights="random", image_size=48)
    content = {"run": "1", "config": config.to_flat()}
    (tmp_path / "config.json").write_text(json.dumps(content))
    state = build_network("tiny", seed=3).state_dict()
    save_file(state, tmp_path / "model.safetensors")
    return tmp_path


def student_of(folder: Path, **changes: object) -> RunConfig:
    digest = file_sha256(folder / "model.safetensors")
    config = RunConfig(backbone="micro", weights="random", teacher=str(folder))
    return replace(config, teacher_sha256=digest, **changes)  # type: ignore[arg-type]


def test_the_loss_is_hintons(
    make_samples: Callable[[int], list[Sample]], make_model: Callable[..., Network],
    plain_config: Callable[..., RunConfig],
) -> None:  # fmt: skip
    samples, model = make_samples(6), make_model(dropout=0.0).eval()
    share, temperature = 0.3, 4.0
    config = plain_config(
        batch_size=6, sampling="shuffle", dropout=0.0, probe_rounds=1, augmentation="none",
        teacher_share=share, teacher_temperature=temperature,
    )  # fmt: skip
    teacher = Teacher(build_network("tiny", dropout=0.0, seed=3).eval(), 32)
    images = torch.stack([sample.load() for sample in samples])
    with torch.no_grad():
        z = model(images).double().numpy()
    t = teacher.logits(images).double().numpy() / temperature
    y = np.array([sample.radiograph.label for sample in samples])
    labels = -(y * log_expit(z) + (1 - y) * log_expit(-z)).mean()
    z = z / temperature
    taught = -(expit(t) * log_expit(z) + expit(-t) * log_expit(-z)).mean()
    wanted = (1 - share) * labels + share * temperature**2 * taught

    plan = plan_round(config, 1)
    found = train_round(model, samples, plan, config, stream="north", moments={}, teacher=teacher)
    assert found.loss == pytest.approx(wanted, rel=1e-5)


def test_a_teacher_sees_the_augmented_image_at_its_own_size(finished: Path) -> None:
    teacher = site_teacher(student_of(finished), None, CPU, deployed=False)
    assert teacher is not None
    images = torch.rand(3, 2, 96, 96) * 2048 - 1024
    expected = torch.nn.functional.interpolate(
        images[:, 1:], (48, 48), mode="bilinear", antialias=True
    )
    network = build_network("tiny", dropout=0.0, seed=3).eval()
    with torch.no_grad():
        assert torch.equal(teacher.logits(images), network(expected))


def test_a_teacher_in_colour_sees_the_last_three_channels() -> None:
    network = build_network("tiny", dropout=0.0, seed=3, channels=3).eval()
    images = torch.rand(3, 6, 32, 32) * 2048 - 1024
    with torch.no_grad():
        assert torch.equal(Teacher(network, 32).logits(images), network(images[:, 3:]))


def test_another_model_is_refused(finished: Path) -> None:
    config = student_of(finished)
    save_file(build_network("tiny", seed=4).state_dict(), finished / "model.safetensors")
    with pytest.raises(SiteError, match="has SHA-256") as caught:
        site_teacher(config, None, CPU, deployed=False)
    assert str(finished) not in str(caught.value.shareable)


def test_a_teacher_of_other_classes_is_refused(finished: Path) -> None:
    config = student_of(finished, outcome="classes: a | b | c")
    with pytest.raises(SiteError, match=r"predicts 'binary' and this run 'classes: a \| b"):
        site_teacher(config, None, CPU, deployed=False)
    with pytest.raises(ConfigError, match=r"predicts 'binary' and this run 'classes: a \| b"):
        with_absolute_paths(config)


def test_a_teacher_of_grey_images_teaches_none_in_colour(finished: Path) -> None:
    config = student_of(finished, image_colour="rgb")
    said = "was trained with image-colour=grey, but this run has image-colour=rgb"
    with pytest.raises(SiteError, match=said):
        site_teacher(config, None, CPU, deployed=False)
    with pytest.raises(ConfigError, match=said):
        with_absolute_paths(config)


def test_a_deployed_site_needs_its_own_copy(finished: Path) -> None:
    config = student_of(finished)
    with pytest.raises(SiteError, match=r"name it as teacher in \[compute\]"):
        site_teacher(config, None, CPU, deployed=True)
    own = site_teacher(replace(config, teacher="/of/the/coordinator"), str(finished), CPU,
                       deployed=True)  # fmt: skip
    assert own is not None
    assert own.image_size == 48
    with pytest.raises(SiteError, match="not said"):
        site_teacher(replace(config, teacher_sha256=""), str(finished), CPU, deployed=True)


@pytest.mark.parametrize("lost", ["", "config.json", "model.safetensors"])
def test_a_site_that_was_not_given_the_teacher_says_what_is_missing(
    finished: Path, lost: str
) -> None:
    config = replace(student_of(finished), teacher="/of/the/coordinator")
    own = finished / lost if lost else finished / "nowhere"
    own.unlink(missing_ok=True)
    named = finished if lost else own
    with pytest.raises(SiteError) as caught:
        require_own_teacher(config, str(named), deployed=True)
    story, shared = str(caught.value), caught.value.shareable
    for said in (story, shared):
        assert (f"there is no {lost}" if lost else "there is no folder") in said
        assert config.teacher_sha256 in said
        assert "[compute]" in said
    assert str(named) in story
    assert "Copy that run's folder there" in story
    assert "its folder must be copied there" in shared
    assert str(finished) not in shared
    assert "/of/the/coordinator" not in story


def test_another_run_s_folder_is_said_to_be_one(finished: Path) -> None:
    config = replace(student_of(finished), teacher_sha256="0" * 64)
    with pytest.raises(SiteError, match=f"the run's teacher has {'0' * 64}; copy the folder"):
        site_teacher(config, str(finished), CPU, deployed=True)


def test_no_teacher_without_one() -> None:
    assert site_teacher(RunConfig(), "/somewhere", CPU, deployed=True) is None
