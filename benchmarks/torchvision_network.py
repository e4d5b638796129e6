"""The network that FedThaw is compared with: torchvision's own, for grey images and one logit."""

from __future__ import annotations

import torchvision
from torch import Tensor, nn
from torch.nn.functional import dropout

from shared.model.network import build_network


class Head(nn.Linear):
    """Dropout and a linear layer -> logits (N,), under the state-dict keys of the layer alone."""

    def __init__(self, features: int, share: float) -> None:
        super().__init__(features, 1)
        self.share = share

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(dropout(features, self.share, self.training)).squeeze(1)


def torchvision_network(name: str, share: float = 0.1) -> nn.Module:
    """A ResNet as anyone would build it; `micro`, which torchvision lacks, is FedThaw's."""
    if name == "micro":
        return build_network(name, share)
    model: nn.Module = getattr(torchvision.models, name)(num_classes=1)
    model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    head = model.get_submodule("fc")
    assert isinstance(head, nn.Linear)
    model.fc = Head(head.in_features, share)
    return model
