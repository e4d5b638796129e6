"""Grad-CAM: where in an image the network found the evidence for the positive class."""

from __future__ import annotations

import torch
from torch import Tensor

from shared.model.network import Network


def grad_cam(model: Network, features: Tensor) -> Tensor:
    """Maps (N, h, w) in [0, 1] of the features (N, C, h, w) that enter `backbone.explained`.

    Each image's greatest value is 1. Selvaraju et al., arXiv:1610.02391, equations 1 and 2: the
    logit's gradient, averaged over the positions, weights the channels. Negative values, evidence
    for the negative class, become 0; a map without evidence for the positive class is 0 everywhere.
    The model is in eval mode, so an image's map does not depend on its batch, and its parameters
    get no gradient.
    """
    features = features.detach().requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(
            model.rest(features, model.backbone.explained).sum(), features
        )
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    maps = (weights * features.detach()).sum(dim=1).relu()
    peaks = maps.amax(dim=(1, 2), keepdim=True)
    return torch.where(peaks > 0, maps / peaks, torch.zeros_like(maps))
