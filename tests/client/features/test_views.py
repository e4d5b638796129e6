from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from client.data.augment import recipe_augmentation
from client.data.dataset import Draw, Sample, augmented
from client.features.views import (
    Views,
    Wanted,
    load_views,
    plain_views,
    stack_views,
    training_views,
    wanted_of,
)
from client.train.batches import drawn_batches, image_batches
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

MakeSamples = Callable[[int], list[Sample]]
MakeConfig = Callable[..., RunConfig]
CPU = torch.device("cpu")


def test_a_view_is_always_the_same_picture_and_unlike_any_other(
    make_samples: MakeSamples, micro_config: MakeConfig
) -> None:
    samples = make_samples(2)
    pictures: dict[tuple[int, int, int], Tensor] = {}
    for seed in (0, 1):
        views = training_views(micro_config(seed=seed))
        assert views.count == 8
        for number, sample in enumerate(samples):
            for view in range(views.count):
                torch.manual_seed(view)
                picture = views.of(sample, view)
                assert torch.equal(views.of(sample, view), picture)
                pictures[seed, number, view] = picture
    flat = [picture.numpy().tobytes() for picture in pictures.values()]
    assert len(set(flat)) == len(flat) == 2 * 2 * 8


def test_a_view_does_not_depend_on_how_many_there_are_or_on_the_sample_list(
    make_samples: MakeSamples, micro_config: MakeConfig
) -> None:
    """But its description does, since a file holds all views of an image."""
    samples = make_samples(3)
    few, many = (training_views(micro_config(feature_cache_views=n)) for n in (2, 5))
    assert few.describe() != many.describe()
    assert torch.equal(few.of(samples[2], 1), many.of(samples[2], 1))
    reversed_list = stack_views(samples[::-1], few, [Wanted(0, 1)])
    assert torch.equal(reversed_list[0], many.of(samples[2], 1))


def test_descriptions_tell_views_apart(micro_config: MakeConfig) -> None:
    changes: list[dict[str, object]] = [
        {}, {"seed": 1}, {"feature_cache_views": 3}, {"augmentation": "none"},
    ]  # fmt: skip
    assert len({training_views(micro_config(**change)).describe() for change in changes}) == 4
    assert training_views(micro_config(augmentation="none")) == plain_views(micro_config())


def test_without_augmentation_the_view_is_the_image(
    make_samples: MakeSamples, micro_config: MakeConfig
) -> None:
    (sample,) = make_samples(1)
    views = training_views(micro_config(augmentation="none"))
    assert views.count == 1
    assert torch.equal(views.of(sample, 0), sample.load())
    assert wanted_of(Draw(4, 12345), views) == Wanted(4, 0)


def test_draws_take_all_views_about_equally_often(
    make_samples: MakeSamples, micro_config: MakeConfig
) -> None:
    config = micro_config(local_epochs=80)
    views = training_views(config)
    draws = drawn_batches(make_samples(11), plan_round(config, 1), config, "north")
    counts = torch.zeros(views.count)
    for draw in (draw for batch in draws for draw in batch):
        counts[wanted_of(draw, views).view] += 1
    assert counts.sum() == 880
    # Binomial with mean 110 and standard deviation 9.8.
    assert ((counts - 110).abs() < 45).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_gives_the_same_with_any_number_of_workers(
    make_samples: MakeSamples, micro_config: MakeConfig, workers: int
) -> None:
    samples, views = make_samples(4), training_views(micro_config())
    batches = [[Wanted(3, 1), Wanted(0, 7)], [Wanted(2, 2)], [Wanted(n, 0) for n in range(4)]]
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    loaded = list(load_views(samples, views, batches, workers))
    assert torch.equal(torch.random.get_rng_state(), before)
    for batch, images in zip(batches, loaded, strict=True):
        assert torch.equal(images, stack_views(samples, views, batch))


@pytest.mark.parametrize("workers", [0, 2])
def test_without_the_cache_each_draw_has_its_own_augmentation(
    make_samples: MakeSamples, micro_config: MakeConfig, workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("client.train.batches.loader_workers", lambda device: workers)
    samples = make_samples(5)
    config = micro_config(batch_size=2, local_epochs=2, feature_cache="off")
    draws = drawn_batches(samples, plan_round(config, 1), config, "north")
    assert [len(batch) for batch in draws] == [2, 3] * 2
    seeds = [draw.seed for batch in draws for draw in batch]
    assert len(set(seeds)) == len(seeds)
    before = torch.random.get_rng_state()
    loaded = list(image_batches(samples, draws, config, CPU))
    assert torch.equal(torch.random.get_rng_state(), before)
    augment = recipe_augmentation(32)
    for batch, (images, labels) in zip(draws, loaded, strict=True):
        for draw, image, label in zip(batch, images, labels, strict=True):
            sample = samples[draw.sample]
            assert torch.equal(image, augmented(sample.load(), augment, draw.seed))
            assert label == sample.radiograph.label


def test_plain_views_ignore_the_run(micro_config: MakeConfig) -> None:
    assert plain_views(micro_config(seed=7)) == Views(count=1, seed=None, image_size=32)
