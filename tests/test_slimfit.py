"""The SlimFit benchmark: what it makes of a file of weights, a round, two lists of answers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor

from benchmarks.slimfit_arms import base, rounds
from benchmarks.slimfit_arms.paired import compare
from benchmarks.slimfit_arms.pictures import Pictures
from benchmarks.slimfit_arms.task import RULES, SLIMFIT, Task

NAMES = tuple("abcdefghij")


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """Made-up ones, named and shaped as in the file."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / 20

    width = base.WIDTH
    found = {
        "backbone.embeddings.cls_token": drawn(1, 1, width),
        "backbone.embeddings.patch_embeddings.projection.weight": drawn(width, 3, 14, 14),
        "backbone.embeddings.patch_embeddings.projection.bias": drawn(width),
        "/backbone/embeddings/Concat_6": drawn(1, 1, width),
        "/backbone/embeddings/Reshape_1": drawn(1, 37 * 37, width),
        "backbone.layernorm.weight": 1 + drawn(width),
        "backbone.layernorm.bias": drawn(width),
        "decoder.final_conv.bias": drawn(1),
    }
    for n in range(base.LAYERS):
        own, node = f"backbone.encoder.layer.{n}", f"/backbone/encoder/layer.{n}"
        for name in ("norm1", "norm2"):
            found[f"{own}.{name}.weight"] = 1 + drawn(width)
            found[f"{own}.{name}.bias"] = drawn(width)
        for name in ("attention/attention/query", "attention/attention/key",
                     "attention/attention/value", "attention/output/dense"):  # fmt: skip
            found[f"{node}/{name}/MatMul"] = drawn(width, width)
            found[f"{own}.{name.replace('/', '.')}.bias"] = drawn(width)
        found[f"{node}/mlp/fc1/MatMul"] = drawn(width, 4 * width)
        found[f"{own}.mlp.fc1.bias"] = drawn(4 * width)
        found[f"{node}/mlp/fc2/MatMul"] = drawn(4 * width, width)
        found[f"{own}.mlp.fc2.bias"] = drawn(width)
        for name in ("layer_scale1", "layer_scale2"):
            found[f"{own}.{name}.lambda1"] = 20 * drawn(width)
    return found


def written_out(tensors: dict[str, Tensor], images: Tensor) -> Tensor:
    """The class token that DINOv2's encoder gives, step by step (arXiv:2304.07193)."""
    one = tensors["backbone.embeddings.patch_embeddings.projection.weight"]
    patches = F.unfold(images, 14, stride=14).transpose(1, 2) @ one.flatten(1).T
    patches = patches + tensors["backbone.embeddings.patch_embeddings.projection.bias"]
    side = images.shape[-1] // 14
    grid = tensors["/backbone/embeddings/Reshape_1"].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(side, side), mode="bicubic").flatten(2).transpose(1, 2)
    token = tensors["backbone.embeddings.cls_token"] + tensors["/backbone/embeddings/Concat_6"]
    x = torch.cat([token.expand(len(images), -1, -1), patches + grid], dim=1)
    for n in range(base.LAYERS):

        def linear(name: str, x: Tensor, n: int = n) -> Tensor:
            matrix = tensors[f"/backbone/encoder/layer.{n}/{name}/MatMul"]
            return x @ matrix + tensors[f"backbone.encoder.layer.{n}.{name.replace('/', '.')}.bias"]

        def norm(name: str, x: Tensor, n: int = n) -> Tensor:
            own = f"backbone.encoder.layer.{n}.{name}"
            return F.layer_norm(
                x, (base.WIDTH,), tensors[f"{own}.weight"], tensors[f"{own}.bias"], 1e-6
            )

        y = norm("norm1", x)
        query, key, value = (
            linear(f"attention/attention/{name}", y).reshape(*y.shape[:2], 6, 64).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        mixed = (query @ key.transpose(2, 3) / 8).softmax(-1) @ value
        y = linear("attention/output/dense", mixed.transpose(1, 2).flatten(2))
        x = x + tensors[f"backbone.encoder.layer.{n}.layer_scale1.lambda1"] * y
        y = linear("mlp/fc2", F.gelu(linear("mlp/fc1", norm("norm2", x))))
        x = x + tensors[f"backbone.encoder.layer.{n}.layer_scale2.lambda1"] * y
    weight, bias = tensors["backbone.layernorm.weight"], tensors["backbone.layernorm.bias"]
    return F.layer_norm(x, (base.WIDTH,), weight, bias, 1e-6)[:, 0]


def test_the_base_computes_what_its_file_describes(tensors: dict[str, Tensor]) -> None:
    """Its factors of branches are folded into weights, its positions interpolated."""
    model = base.build(base.state_of(tensors), outputs=10, seed=0).eval()
    images = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = model.pool(model.prefix(images, "head")).flatten(1)
        expected = written_out(tensors, images)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sites", [1, 2])
def test_a_round_trains_what_was_chosen_and_nothing_else(
    tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, sites: int
) -> None:
    monkeypatch.setattr(base, "read", lambda path: base.state_of(tensors))
    task = Task(Path(), Path(), side=14, each=1, tested=1, epochs=1, batch=2, steps=2, rate=1e-3,
                precision="float32", seed=0)  # fmt: skip
    pixels = torch.randint(0, 256, (10, 3, 32, 32), dtype=torch.uint8)
    arm = next(arm for arm in (*SLIMFIT, *RULES) if arm.sites == sites and "0.9" in arm.name)
    config = task.config(arm, NAMES)
    model, reference = rounds.build_model(task, config)
    plan = rounds.decide(config, reference, 1, {})
    dealt = [
        rounds.Site(f"site{n}", places) for n, places in enumerate(torch.arange(10).chunk(sites))
    ]

    seen = rounds.run_round(
        task, config, model, reference, plan, Pictures(pixels, torch.arange(10)), dealt
    )

    trained = model.backbone.units_of(plan.trainable)
    assert len(trained) == 3  # two of thirteen candidates and the head
    assert seen.keys() == trained
    assert all(one.distance is not None and one.distance > 0 for one in seen.values())
    assert all((one.agreement is None) == (sites == 1) for one in seen.values())
    for key, value in model.state_dict().items():
        changed = not torch.equal(value, reference.base.state[key])
        assert changed == (model.backbone.unit_of(key).name in trained), key


def test_a_difference_of_accuracies_is_the_mean_of_those_of_pictures() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(500) < 0.9, rng.random(500) < 0.85

    found = compare(first.tolist(), second.tolist())

    each = second.astype(float) - first
    assert found.value == pytest.approx(each.mean())
    assert found.high - found.value == pytest.approx(1.959964 * each.std() / math.sqrt(500))
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert (found.gained, found.lost) == ((each > 0).sum(), (each < 0).sum())
    n, k = found.gained + found.lost, min(found.gained, found.lost)
    tail = sum(math.comb(n, m) for m in range(k + 1)) / 2**n
    assert found.p == pytest.approx(min(1.0, 2 * tail))


def test_arms_that_answer_alike_do_not_differ() -> None:
    found = compare([True, False], [True, False])
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_other_pictures_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compare([True, False], [True])
