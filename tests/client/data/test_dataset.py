from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chisquare
from torch import Tensor
from torch.utils.data import DataLoader

from client.data.augment import recipe_augmentation
from client.data.cache import ImageCache
from client.data.cohort import Radiograph
from client.data.dataset import (
    Draw,
    RadiographDataset,
    Sample,
    batch_positions,
    draw_epoch,
)
from client.imaging.facts import ImageFacts
from shared.errors import SiteError

FACTS = ImageFacts("PNG", "L", 8, 32, 32)


def make_samples(folder: Path, pixels: list[np.ndarray]) -> list[Sample]:
    cache = ImageCache(folder, pixels[0].shape[0], "pad")
    for number, image in enumerate(pixels):
        cache.store(f"{number:064x}", image.astype(np.uint16), FACTS)
    return [
        Sample(Radiograph(f"{number:064x}", f"P{number}", number % 2, None), "north", cache)
        for number in range(len(pixels))
    ]


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    rng = np.random.default_rng(0)
    return make_samples(tmp_path, [rng.integers(0, 65536, (32, 32)) for _ in range(6)])


def test_the_range_is_that_of_torchxrayvision(tmp_path: Path) -> None:
    every = np.arange(65536).reshape(256, 256)
    image = make_samples(tmp_path, [every])[0].load()
    # torchxrayvision.utils.normalize: (2 * (img.astype(np.float32) / maxval) - 1.) * 1024
    expected = (2 * (every / 65535) - 1.0) * 1024
    assert image.shape == (1, 256, 256)
    assert image.dtype == torch.float32
    np.testing.assert_allclose(image[0].numpy(), expected, rtol=0, atol=2e-4)
    assert image.flatten()[[0, -1]].tolist() == [-1024.0, 1024.0]
    assert (image.flatten().diff() > 0).all()


def test_a_removed_image_is_told_with_what_to_do(samples: list[Sample]) -> None:
    samples[2].cache.path(samples[2].radiograph.digest).unlink()
    with pytest.raises(SiteError, match=r"removed or damaged.*restart the site") as caught:
        samples[2].load()
    assert str(samples[2].cache.folder) not in caught.value.shareable


def test_patients_of_two_sites_stay_apart(samples: list[Sample]) -> None:
    elsewhere = Sample(samples[0].radiograph, "south", samples[0].cache)
    assert samples[0].patient != elsewhere.patient


def test_balanced_draws_take_classes_and_their_images_equally_often() -> None:
    labels = [1] * 5 + [0] * 35
    drawn = Counter(
        draw.sample for seed in range(250) for draw in draw_epoch(labels, balanced=True, seed=seed)
    )
    total = 250 * len(labels)
    assert sum(drawn.values()) == total
    positive = sum(drawn[index] for index in range(5))
    low, high = binom.interval(0.9999, total, 0.5)
    assert low <= positive <= high
    for members in (range(5), range(5, 40)):
        assert chisquare([drawn[index] for index in members]).pvalue > 1e-4


@given(count=st.integers(1, 60), seed=st.integers(0, 2**62))
def test_a_shuffled_epoch_takes_each_image_once(count: int, seed: int) -> None:
    draws = draw_epoch([0] * count, balanced=False, seed=seed)
    assert sorted(draw.sample for draw in draws) == list(range(count))
    assert len({draw.seed for draw in draws}) == count
    assert draws == draw_epoch([0] * count, balanced=False, seed=seed)


@pytest.mark.parametrize("balanced", [True, False])
def test_another_seed_gives_another_order_and_other_augmentations(balanced: bool) -> None:
    labels = [0, 1] * 20
    one, other = (draw_epoch(labels, balanced=balanced, seed=seed) for seed in (1, 2))
    assert [d.sample for d in one] != [d.sample for d in other]
    assert not {d.seed for d in one} & {d.seed for d in other}


def test_one_class_alone_can_be_drawn_balanced() -> None:
    draws = draw_epoch([1, 1, 1], balanced=True, seed=0)
    assert len(draws) == 3
    assert {draw.sample for draw in draws} <= {0, 1, 2}


def test_the_same_images_come_whatever_the_loader(samples: list[Sample]) -> None:
    labels = [sample.radiograph.label for sample in samples]
    draws = draw_epoch(labels, balanced=True, seed=3)
    dataset = RadiographDataset(samples, draws, recipe_augmentation(32))
    backwards = [dataset[position] for position in reversed(range(len(dataset)))][::-1]
    loaded = []
    for workers in (0, 2):
        torch.manual_seed(workers)
        loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            dataset, batch_size=4, num_workers=workers
        )
        batches = list(loader)
        loaded.append([torch.cat(column) for column in zip(*batches, strict=True)])
    for images, classes in loaded:
        assert torch.equal(images, torch.stack([image for image, _ in backwards]))
        assert torch.equal(classes, torch.tensor([float(labels[d.sample]) for d in draws]))


def test_augmentation_depends_on_its_own_seed_alone(samples: list[Sample]) -> None:
    augment = recipe_augmentation(32)
    draws = [Draw(0, 11), Draw(0, 12), Draw(0, 11)]
    dataset = RadiographDataset(samples, draws, augment)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second, third = (dataset[position][0] for position in range(3))
    assert torch.equal(first, third)
    assert not torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_augmentation_images_come_as_they_are(samples: list[Sample]) -> None:
    dataset = RadiographDataset(samples, [Draw(4, 0)], None)
    image, label = dataset[0]
    assert torch.equal(image, samples[4].load())
    assert label.dtype == torch.float32
    assert label.item() == samples[4].radiograph.label


@given(images=st.integers(1, 200), batch_size=st.integers(1, 40))
def test_batches_cover_every_position_once_and_leave_none_alone(
    images: int, batch_size: int
) -> None:
    batches = batch_positions(images, batch_size)
    assert [position for batch in batches for position in batch] == list(range(images))
    sizes = [len(batch) for batch in batches]
    if batch_size == 1:
        assert set(sizes) == {1}
    else:
        assert images == 1 or min(sizes) > 1
        assert max(sizes) <= batch_size + 1
        assert all(size == batch_size for size in sizes[:-1])


def test_a_left_over_image_joins_the_batch_before() -> None:
    assert batch_positions(9, 4) == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]
    assert batch_positions(10, 4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
