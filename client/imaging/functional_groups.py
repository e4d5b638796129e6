"""Greyscale attributes of a frame that enhanced images keep in functional groups: PS3.3 C.7.6.16.

An image of one frame may be such an object, and says nowhere else which window it has, or that low
values are bright.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.dataset import Dataset

# C.7.6.16.1: per frame after shared, of which an image has one or the other.
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
# C.7.6.16.2.9 and C.7.6.16.2.10.
_MACROS = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
}


def take_from_functional_groups(dataset: Dataset) -> None:
    """Put what they say of the first frame where images of one frame have it."""
    frames = [frame for group in _GROUPS for frame in _first(dataset.get(group))]
    for frame in frames:
        for macro, keywords in _MACROS.items():
            for item in _first(frame.get(macro)):
                _take(keywords, item, dataset)


def _take(keywords: Iterable[str], item: Dataset, dataset: Dataset) -> None:
    for keyword in keywords:
        if keyword in item:
            dataset[keyword] = item[keyword]


def _first(sequence: Iterable[Dataset] | None) -> list[Dataset]:
    """The first item of a sequence; none where it is absent or empty."""
    return list(sequence or ())[:1]
