"""ImageNet's colour networks, rewritten for grey radiographs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

INPUT_MAXIMUM = 1024.0
"""Grey values of the input span -1024 (black) to 1024 (white), as in TorchXRayVision."""

# torchvision's transforms of its ImageNet weights, for red, green and blue in [0, 1].
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def fold_first_convolution(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network for normalised RGB, rewritten for one grey channel x in [-1024, 1024].

    With x = (2g - 1) * 1024 for a grey g in [0, 1] in all three channels, channel c enters as
    (g - mean_c) / deviation_c = x / (2048 deviation_c) + (1/2 - mean_c) / deviation_c. The factor
    goes into the weights of `conv1`; the constant, the same for every pixel, into the running
    mean of `bn1`. So conv1 and bn1 give what they gave, except along the border: there the
    original pads with the mean colour (0.485, 0.456, 0.406), the folded one with mid-grey (0.5).
    A state without a 3-channel `conv1` is returned as it is.
    """
    folded = dict(state)
    weight, mean = state.get("conv1.weight"), state.get("bn1.running_mean")
    if weight is None or mean is None or weight.ndim != 4 or weight.shape[1] != 3:
        return folded
    channels = weight.double().unbind(1)
    scale, constant = torch.zeros_like(channels[0]), torch.zeros_like(channels[0])
    for channel, centre, deviation in zip(
        channels, _IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True
    ):
        scale += channel / (2 * INPUT_MAXIMUM * deviation)
        constant += channel * ((0.5 - centre) / deviation)
    # fsum rounds once, so that all machines arrive at the same base digest.
    offset = [math.fsum(taps) for taps in constant.flatten(1).tolist()]
    folded["conv1.weight"] = scale.unsqueeze(1).float()
    folded["bn1.running_mean"] = (mean.double() - torch.tensor(offset, dtype=torch.float64)).float()
    return folded
