"""Whether features are kept changes no bit of what a round learns."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from client.data.augment import recipe_augmentation
from client.data.dataset import Sample, augmented, batch_positions, draw_epoch
from client.features.boundary import training_boundary
from client.features.feature_set import FeatureSet
from client.features.keep import Request, prepare_features
from client.train.trainer import Trained, train_round
from shared.model.freezing import set_trainable
from shared.model.network import Network
from shared.model.registry import backbone_of
from shared.seeds import derive_seed
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

STAGES = backbone_of("micro").stages
stage_of = backbone_of("micro").stage_of

MakeRequest = Callable[..., Request]
MakeSet = Callable[..., FeatureSet]
MakeModel = Callable[..., Network]
MakeConfig = Callable[..., RunConfig]
# The probe is round 1; then a stage thaws in each round.
ROUNDS: dict[str, tuple[int, dict[str, Any], str]] = {
    "head": (1, {}, "head"),
    "mixed-head": (2, {"thaw_at": "0.25,0.5,0.6"}, "layer4"),
    "layer4": (2, {}, "layer4"),
    "layer3": (3, {}, "layer3"),
    "layer2": (4, {}, "layer2"),
}


def learn(
    model: Network, config: RunConfig, number: int, features: FeatureSet | None,
    samples: list[Sample],
) -> tuple[dict[str, Tensor], Trained]:  # fmt: skip
    """Train in place, as the prefix shares the network, and put it back as it was."""
    before = copy.deepcopy(model.state_dict())
    result = train_round(
        model, samples, plan_round(config, number), config, stream="north", moments={},
        features=features,
    )  # fmt: skip
    after = copy.deepcopy(model.state_dict())
    model.load_state_dict(before)
    return after, result


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for key, value in one.items():
        assert value.numpy().tobytes() == other[key].numpy().tobytes(), key


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("augmentation", ["none", "recipe"])
@pytest.mark.parametrize("name", list(ROUNDS))
def test_kept_features_train_to_the_same_bytes(
    feature_request: MakeRequest, feature_set: MakeSet, make_model: MakeModel,
    micro_config: MakeConfig, make_samples: Callable[[int], list[Sample]],
    watcher: SimpleNamespace, monkeypatch: pytest.MonkeyPatch,
    name: str, augmentation: str, dtype: str,
) -> None:  # fmt: skip
    """With batches that are no multiple of the chunks in which views are computed."""
    number, changes, boundary = ROUNDS[name]
    config = micro_config(
        precision=dtype, augmentation=augmentation, feature_cache_views=3, batch_size=5,
        local_epochs=2, **changes,
    )  # fmt: skip
    plan = plan_round(config, number)
    assert training_boundary(config, plan) == boundary
    model, samples = make_model(dropout=0.1), make_samples(11)
    set_trainable(model, plan.trainable, config.batch_norm)
    request = feature_request(model, config, {boundary: 9}, samples, dtype=getattr(torch, dtype))
    computed, one = learn(model, config, number, feature_set(request, boundary, kept=False),
                          samples)  # fmt: skip
    monkeypatch.setattr("client.features.keep.worth_keeping", lambda *_, **__: [boundary])
    kept = prepare_features(request, boundary, {}, watcher.telling)
    assert kept.kept
    assert (watcher.begun, len(watcher.steps), watcher.problems) == ([11], 11, [])
    monkeypatch.setattr("client.features.prefix.Prefix.features", None)  # not needed any more
    read, two = learn(model, config, number, kept, samples)
    assert_equal(computed, read)
    assert_equal(one.moments, two.moments)
    assert one.loss == two.loss


def alone(model: Network, image: Tensor, boundary: str) -> Tensor:
    """One image's features, module after module, rounded to float16."""
    with torch.no_grad():
        x = image[None]
        for name in ("conv1", "bn1", "relu", "maxpool"):
            x = model.get_submodule(name)(x)
        for layer in STAGES[1 : STAGES.index(boundary)]:
            x = model.get_submodule(layer)(x)
        if boundary == "head":
            x = x.mean((2, 3), keepdim=True)
    return x.half().float()


def plain_steps(
    model: Network, samples: list[Sample], config: RunConfig, number: int, boundary: str
) -> dict[str, Tensor]:
    """Gradient steps of plain SGD, each view's features computed by hand."""
    plan = plan_round(config, number)
    model = copy.deepcopy(model)
    set_trainable(model, plan.trainable, config.batch_norm)
    labels = [sample.radiograph.label for sample in samples]
    seed = derive_seed(config.seed, "north", number, "epoch", 0)
    draws = draw_epoch(labels, balanced=config.sampling == "balanced", seed=seed)
    for positions in batch_positions(len(samples), config.batch_size):
        inputs, targets = [], []
        for position in positions:
            draw = draws[position]
            sample = samples[draw.sample]
            image = sample.load()
            if config.augmentation == "recipe":
                view = draw.seed % config.feature_cache_views
                own = derive_seed(config.seed, "view", sample.radiograph.digest, view)
                image = augmented(image, recipe_augmentation(32), own)
            inputs.append(alone(model, image, boundary))
            targets.append(float(labels[draw.sample]))
        x = torch.cat(inputs)
        for layer in STAGES[STAGES.index(boundary) : -1]:
            x = model.get_submodule(layer)(x)
        logits = model.head_layer(x.mean((2, 3))).squeeze(1)
        loss = binary_cross_entropy_with_logits(logits, torch.tensor(targets))
        learnt = {n: p for n, p in model.named_parameters() if p.requires_grad}
        gradients = torch.autograd.grad(loss, list(learnt.values()))
        for (name, parameter), gradient in zip(learnt.items(), gradients, strict=True):
            head = stage_of(name) == "head" and plan.phase == "fine-tune"
            decay = config.weight_decay_head if head else config.weight_decay
            with torch.no_grad():
                parameter.sub_(plan.rates[stage_of(name)] * (gradient + decay * parameter))
    state: dict[str, Tensor] = model.state_dict()
    return state


@pytest.mark.parametrize("augmentation", ["none", "recipe"])
@pytest.mark.parametrize("name", ["head", "layer4", "layer3", "layer2"])
def test_training_from_features_is_plain_training_on_the_views(
    feature_request: MakeRequest, feature_set: MakeSet, make_model: MakeModel,
    micro_config: MakeConfig, make_samples: Callable[[int], list[Sample]],
    name: str, augmentation: str,
) -> None:  # fmt: skip
    number, _, boundary = ROUNDS[name]
    rates = {"lr_probe": 1e-3, "lr_head": 1e-3, "rates": "0.001,0.001,0.001"}
    config = micro_config(
        precision="float32", augmentation=augmentation, feature_cache_views=3, batch_size=5,
        optimizer="sgd", rate_policy="constant", cutmix_probability=0.0, dropout=0.0,
        weight_decay=0.1, weight_decay_head=0.2, **rates,
    )  # fmt: skip
    model, samples = make_model(), make_samples(10)
    expected = plain_steps(model, samples, config, number, boundary)
    set_trainable(model, plan_round(config, number).trainable, config.batch_norm)
    request = feature_request(model, config, {boundary: 1}, samples)
    start = copy.deepcopy(model.state_dict())
    state, _ = learn(model, config, number, feature_set(request, boundary, kept=False), samples)
    for key, value in expected.items():
        # A rounding before float16's is a half-thousandth of a feature after it.
        change = (value - start[key]).double().norm()
        assert (state[key] - value).double().norm() <= 0.01 * change + 1e-7, key
    moved = {stage_of(key) for key in state if not torch.equal(state[key], start[key])}
    assert moved == set(plan_round(config, number).trainable)


@pytest.mark.parametrize("harm", ["missing", "cut", "bit"])
def test_what_was_lost_is_computed_anew_to_the_same_bytes(
    feature_request: MakeRequest, feature_set: MakeSet, make_model: MakeModel,
    micro_config: MakeConfig, make_samples: Callable[[int], list[Sample]],
    watcher: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, harm: str,
) -> None:  # fmt: skip
    config = micro_config(feature_cache_views=3, batch_size=5, precision="float32")
    model, samples = make_model(dropout=0.1), make_samples(11)
    set_trainable(model, ["layer4", "head"], config.batch_norm)
    request = feature_request(model, config, {"layer4": 9}, samples)
    monkeypatch.setattr("client.features.keep.worth_keeping", lambda *_, **__: ["layer4"])
    kept = prepare_features(request, "layer4", {}, watcher.telling)
    (store,) = request.stores.values()
    for sample in samples[2:8]:
        path = store.path(request.keys["layer4"], sample.radiograph.digest)
        data = path.read_bytes()
        path.unlink()
        if harm != "missing":
            path.write_bytes(data[:-7] if harm == "cut" else data[:-1] + bytes([data[-1] ^ 64]))
    harmed, _ = learn(model, config, 2, kept, samples)
    whole, _ = learn(model, config, 2, feature_set(request, "layer4", kept=False), samples)
    assert_equal(harmed, whole)
    # The next round finds what is lacking and makes it again.
    decisions = {request.keys["layer4"]: True}
    assert prepare_features(request, "layer4", decisions, watcher.telling).kept
    assert 11 < len(watcher.steps) <= 11 + 6
    assert all(store.has(request.keys["layer4"], s.radiograph.digest) for s in samples)
