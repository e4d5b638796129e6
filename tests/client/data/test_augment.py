from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from client.data.augment import (
    BLACK,
    RandomMasking,
    augmentation_of,
    cutmix,
    recipe_augmentation,
)

SIZE = 33


def augmented(image: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    result: Tensor = recipe_augmentation(image.shape[-1])(image)
    return result


@given(seed=st.integers(0, 2**31), size=st.sampled_from([32, 33, 48]))
@settings(max_examples=60, deadline=None)
def test_size_type_and_range_stay(seed: int, size: int) -> None:
    noise = torch.rand(1, size, size, generator=torch.Generator().manual_seed(seed))
    image = (noise * 2 - 1) * 1024
    result = augmented(image, seed)
    assert result.shape == image.shape
    assert result.dtype == torch.float32
    # Interpolation and blur are weighted means, so only rounding can leave the range.
    assert result.abs().max() <= 1024 * (1 + 1e-5)
    assert torch.equal(augmented(image, seed), result)


def test_half_of_the_images_are_mirrored() -> None:
    ramp = torch.linspace(-1024, 1024, SIZE).expand(1, SIZE, SIZE)
    rising = [
        bool(result[..., SIZE // 2 :].mean() > result[..., : SIZE // 2].mean())
        for result in (augmented(ramp, seed) for seed in range(300))
    ]
    # A fair coin leaves this range once in 2,000 times; the seeds are fixed.
    assert 120 < sum(rising) < 180


def test_a_rotation_uncovers_black() -> None:
    white = torch.full((1, 64, 64), 1024.0)
    corners = [augmented(white, seed)[0, 0, 0].item() for seed in range(100)]
    assert min(corners) == BLACK
    # Nothing turns by more than 5 degrees, so the middle stays white unless it is masked.
    middles = [augmented(white, seed)[0, 20:44, 20:44].max().item() for seed in range(100)]
    assert min(middles) == pytest.approx(1024.0)


def test_blur_and_crop_occur_and_leave_some_images_alone() -> None:
    # The middle pixel stays where it is under rotation and reflection.
    point = torch.full((1, SIZE, SIZE), BLACK)
    point[0, SIZE // 2, SIZE // 2] = 1024.0
    peaks = [augmented(point, seed).max().item() for seed in range(300)]
    untouched = sum(peak > 1023 for peak in peaks)
    blurred = sum(peak < 0 for peak in peaks)
    assert untouched > 60
    assert blurred > 60


def test_a_tenth_of_the_images_is_masked() -> None:
    grey = torch.full((1, SIZE, SIZE), 500.0)
    masked = [bool((augmented(grey, seed) == 0).float().mean() > 0.1) for seed in range(400)]
    assert 20 < sum(masked) < 65


def test_masking_sets_a_share_of_the_pixels_to_middle_grey() -> None:
    torch.manual_seed(0)
    image = torch.full((1, 200, 200), 500.0)
    result = RandomMasking(0.25)(image)
    zero = result == 0
    assert zero.float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert (result[~zero] == 500).all()
    assert (image == 500).all()


@given(
    seed=st.integers(0, 2**31),
    labels=st.lists(st.integers(0, 1), min_size=1, max_size=9),
    alpha=st.floats(0.05, 20),
    height=st.integers(4, 20),
    width=st.integers(4, 20),
)
@settings(max_examples=100, deadline=None)
def test_cutmix_labels_are_the_area_shares_of_the_pixels(
    seed: int, labels: list[int], alpha: float, height: int, width: int
) -> None:
    count = len(labels)
    # Image i holds the number i in every pixel, so a mixed image tells where each came from.
    images = torch.arange(float(count)).view(count, 1, 1, 1).expand(count, 1, height, width)
    torch.manual_seed(seed)
    mixed, shares = cutmix(images.contiguous(), torch.tensor(labels, dtype=torch.float32), alpha)
    assert mixed.shape == images.shape
    for index in range(count):
        sources = mixed[index].flatten().long().tolist()
        expected = sum(labels[source] for source in sources) / len(sources)
        assert shares[index].item() == pytest.approx(expected, abs=1e-6)
        assert set(sources) <= {index, (index - 1) % count}


def test_cutmix_pastes_one_box_of_the_batch_before() -> None:
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 16, 16).contiguous()
    pasted = []
    for seed in range(30):
        torch.manual_seed(seed)
        mixed, _ = cutmix(images, torch.tensor([0.0, 1.0, 0.0, 1.0]), 1.0)
        foreign = mixed[1, 0] != 1
        rows, columns = foreign.any(dim=1), foreign.any(dim=0)
        assert torch.equal(foreign, rows[:, None] & columns[None, :])
        assert torch.equal(mixed[0, 0] != 0, foreign)
        pasted.append(foreign.float().mean().item())
    assert min(pasted) < 0.2
    assert max(pasted) > 0.5


@given(seed=st.integers(0, 2**31), size=st.sampled_from([32, 33]))
@settings(max_examples=30, deadline=None)
def test_small_pictures_keep_size_and_range(seed: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = (torch.rand(1, size, size, generator=generator) * 2 - 1) * 1024
    for name in ("affine", "shift"):
        augment = augmentation_of(name, size)
        assert augment is not None
        torch.manual_seed(seed)
        result = augment(image)
        torch.manual_seed(seed)
        assert torch.equal(augment(image), result)
        assert (result.shape, result.dtype) == (image.shape, image.dtype)
        assert result.min() >= -1024
        assert result.max() <= 1024 * (1 + 1e-5)


def test_a_shift_moves_whole_pixels_and_mirrors_every_other_image() -> None:
    image = torch.full((1, 32, 32), BLACK)
    image[0, 16, 10] = 1024
    places = set()
    for seed in range(800):
        torch.manual_seed(seed)
        augment = augmentation_of("shift", 32)
        assert augment is not None
        row, column = (augment(image)[0] > 0).nonzero()[0].tolist()
        places.add((row - 16, column))
    straight, mirrored = (
        {(down, right) for down, right in places if (right < 16) == left} for left in (True, False)
    )
    offsets = {(down, right) for down in range(-2, 3) for right in range(-2, 3)}
    assert {(down, right - 10) for down, right in straight} == offsets
    assert {(down, right - 21) for down, right in mirrored} == offsets


def test_an_affine_change_is_near_the_image_and_never_mirrors() -> None:
    ramp = torch.linspace(-1024, 1024, 32).expand(1, 32, 32)
    augment = augmentation_of("affine", 32)
    assert augment is not None
    for seed in range(50):
        torch.manual_seed(seed)
        result = augment(ramp)[0, 8:24]
        assert result[:, 8:16].mean() < result[:, 16:24].mean()
