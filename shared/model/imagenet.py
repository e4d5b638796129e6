"""ImageNet's networks, rewritten for the input range, and for grey radiographs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from shared.model.backbone import Backbone

# torchvision's transforms of its ImageNet weights, for red, green and blue in [0, 1].
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def fold_first_convolution(state: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """A network for normalised RGB, rewritten for the backbone's channels x in [-M, M].

    M is the upper end of the backbone's input range. With x = (2g - 1) * M for a grey g in [0, 1]
    in all three channels, channel c enters as (g - mean_c) / deviation_c = x / (2M deviation_c) +
    (1/2 - mean_c) / deviation_c. The factor goes into the weights of the first convolution; the
    constant, the same for every pixel, into the running mean of the BatchNorm behind it, or into
    the convolution's bias. So both give what they gave, except along the border where there is
    padding: the original pads with the mean colour (0.485, 0.456, 0.406), the folded one with
    mid-grey (0.5). For images in colour each channel's weights take its own factor, and nothing is
    added up. A state without a first convolution of 3 channels is returned as it is.
    """
    folded = dict(state)
    convolution, norm = backbone.first_layer, backbone.first_norm
    shifted, sign = (f"{norm}.running_mean", -1) if norm else (f"{convolution}.bias", 1)
    maximum = backbone.input_range[1]
    weight, before = state.get(f"{convolution}.weight"), state.get(shifted)
    if weight is None or before is None or weight.ndim != 4 or weight.shape[1] != 3:
        return folded
    channels = weight.double().unbind(1)
    constant = torch.zeros_like(channels[0])
    scaled = []
    for channel, centre, deviation in zip(
        channels, _IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True
    ):
        scaled.append(channel / (2 * maximum * deviation))
        constant += channel * ((0.5 - centre) / deviation)
    # fsum rounds once, so that all machines arrive at the same base digest.
    offset = [math.fsum(taps) for taps in constant.flatten(1).tolist()]
    of_grey = backbone.channels == 1
    own = (
        sum(scaled, torch.zeros_like(constant)).unsqueeze(1)
        if of_grey
        else torch.stack(scaled, dim=1)
    )
    folded[f"{convolution}.weight"] = own.float()
    moved = before.double() + sign * torch.tensor(offset, dtype=torch.float64)
    folded[shifted] = moved.float()
    return folded
