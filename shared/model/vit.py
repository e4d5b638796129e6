"""torchvision's vision transformers (Dosovitskiy et al., arXiv:2010.11929), grey or in colour."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from shared.model.backbone import Backbone, Unit
from shared.model.published import of_torchvision

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

_PATCH, _SIDE = 16, 224
_GRID = _SIDE // _PATCH
"""Patches along a side for which there are position embeddings; others are interpolated."""
_STAGES = 4


def _build(layers: int, heads: int, width: int, channels: int) -> nn.Module:
    import torch
    from torchvision.models import VisionTransformer

    # In eval mode without gradients PyTorch would take another kernel with other roundings, so
    # that cached activations were not those that training computes.
    torch.backends.mha.set_fastpath_enabled(False)
    network = VisionTransformer(
        image_size=_SIDE, patch_size=_PATCH, num_layers=layers, num_heads=heads,
        hidden_dim=width, mlp_dim=4 * width, num_classes=1,
    )  # fmt: skip
    network.conv_proj = torch.nn.Conv2d(channels, width, kernel_size=_PATCH, stride=_PATCH)
    built: nn.Module = network  # torchvision ships no types
    return built


def _initialise(network: nn.Module, generator: Generator) -> None:
    """As torchvision does, from one generator."""
    from torch import nn

    init: Any = nn.init
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight, generator=generator)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            fan = module.weight[0].numel()
            init.trunc_normal_(module.weight, std=fan**-0.5, generator=generator)
            init.zeros_(module.bias)
        elif isinstance(module, nn.MultiheadAttention):
            init.xavier_uniform_(module.in_proj_weight, generator=generator)
            init.zeros_(module.in_proj_bias)
    init.zeros_(network.get_parameter("class_token"))
    init.normal_(network.get_parameter("encoder.pos_embedding"), std=0.02, generator=generator)


def _embed(network: nn.Module, images: Tensor) -> Tensor:
    """Images (N, 1 or 3, H, W) -> tokens (N, C, 1, 1 + patches)."""
    import torch

    patches = network.get_submodule("conv_proj")(images)
    number, _, rows, columns = patches.shape
    token = network.get_parameter("class_token").transpose(1, 2).expand(number, -1, -1)
    positions: Tensor = network.get_parameter("encoder.pos_embedding")
    if (rows, columns) != (_GRID, _GRID):
        weights = _interpolation(rows, columns).to(positions)
        positions = torch.cat([positions[:, :1], weights @ positions[:, 1:]], dim=1)
    tokens = torch.cat([token, patches.flatten(2)], dim=2) + positions.transpose(1, 2)
    return tokens.unsqueeze(2)


def _interpolation(rows: int, columns: int) -> Tensor:
    """The matrix (rows * columns, 196) that interpolates positions as torchvision does.

    A product of matrices has a gradient that is the same each time, on a GPU as well; that of the
    interpolation itself has not.
    """
    import torch
    import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)

    each = torch.eye(_GRID**2).reshape(_GRID**2, 1, _GRID, _GRID)
    found = F.interpolate(each, size=(rows, columns), mode="bicubic", align_corners=True)
    return found.reshape(_GRID**2, rows * columns).T.contiguous()


def _run(name: str, network: nn.Module, x: Tensor) -> Tensor:
    """A submodule for tokens (N, 1 + patches, C), on what goes between units."""
    tokens = network.get_submodule(name)(x.squeeze(2).transpose(1, 2))
    return cast("Tensor", tokens.transpose(1, 2).unsqueeze(2))


def _unit(name: str, stage: str, module: str) -> Unit:
    return Unit(name, stage, (module,), run=partial(_run, module))


def _units(layers: int) -> tuple[Unit, ...]:
    """The encoder's blocks in four stages of as many; the last one has the final LayerNorm."""
    each = layers // _STAGES
    blocks = [
        _unit(
            f"blocks{n // each + 1}.{n % each}",
            f"blocks{n // each + 1}",
            f"encoder.layers.encoder_layer_{n}",
        )
        for n in range(layers)
    ]
    stem = Unit(
        "stem", "stem", ("conv_proj",), loose=("class_token", "encoder.pos_embedding"), run=_embed
    )
    norm = _unit(f"blocks{_STAGES}.norm", f"blocks{_STAGES}", "encoder.ln")
    return (stem, *blocks, norm, Unit("head", "head", ("heads.head",)))


def _transformer(name: str, layers: int, heads: int, width: int, **fields: Any) -> Backbone:
    return Backbone(
        name=name,
        units=_units(layers),
        features=width,
        build=partial(_build, layers, heads, width),
        initialise=_initialise,
        tokens=True,
        patch=_PATCH,
        native_side=_SIDE,
        explains=f"blocks{_STAGES}.{layers // _STAGES - 1}",
        single_up_to=0,
        **fields,
    )


VIT_B_16 = _transformer(
    "vit-b-16", layers=12, heads=12, width=768,
    published={"imagenet": of_torchvision("vit_b_16-c867db91.pth")}, torchvision="vit_b_16",
)  # fmt: skip
VIT_TINY = _transformer("vit-tiny", layers=12, heads=3, width=192)
"""ViT-Ti/16 (Touvron et al., arXiv:2012.12877); torchvision publishes no weights of it."""
