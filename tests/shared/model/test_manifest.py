"""What both ends take a stage's tensors to be."""

from __future__ import annotations

import gc
import weakref

import pytest

from shared.model.exchanged import exchanged_keys
from shared.model.manifest import manifest_of_parts
from shared.model.network import build_network
from shared.model.registry import backbone_of
from shared.wire.formats.choice import format_of

STAGES = backbone_of("micro").stages


@pytest.mark.parametrize("batch_norm", ["average", "local"])
@pytest.mark.parametrize("update_dtype", ["float32", "int8"])
def test_names_shapes_and_formats_of_what_is_exchanged(batch_norm: str, update_dtype: str) -> None:
    model = build_network("micro")
    manifest = manifest_of_parts(model, ["head", "layer4"], batch_norm, update_dtype)
    names = [spec.name for spec in manifest]
    assert names == list(exchanged_keys(model, ["head", "layer4"], batch_norm))
    for spec in manifest:
        assert spec.shape == tuple(model.state_dict()[spec.name].shape)
        assert spec.format == format_of(update_dtype, spec.shape)


def test_each_network_has_its_own() -> None:
    small, large = build_network("micro"), build_network("resnet18")
    for _ in range(2):
        manifests = [manifest_of_parts(model, STAGES, "average") for model in (small, large)]
        heads = [spec.shape for one in manifests for spec in one if spec.name == "fc.weight"]
        assert heads == [(1, 64), (1, 512)]


def test_a_network_does_not_live_on_in_what_is_kept_of_it() -> None:
    model = build_network("micro")
    manifest_of_parts(model, STAGES, "average")
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


def test_what_is_unknown_is_refused() -> None:
    model = build_network("micro")
    with pytest.raises(ValueError, match="layer9"):
        manifest_of_parts(model, ["layer9"], "average")
    with pytest.raises(ValueError, match="batch_norm"):
        manifest_of_parts(model, ["head"], "mean")
