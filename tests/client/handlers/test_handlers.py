from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from client.evaluate import evaluate_samples
from client.handlers.describe import describe_site
from client.model.device import peak_memory
from client.workspace import Workspace, shared_model, training_samples
from shared.errors import FedThawError, ProtocolError, SiteError
from shared.model.manifest import manifest_of_parts
from shared.model.network import Network
from shared.protocol.records import arrays_in
from shared.run.events import Event, SiteBusy, StepDone, listening
from shared.settings.config import RunConfig
from shared.wire.arrays import from_record

OpenSite = Callable[..., tuple[Workspace, RunConfig]]


def test_a_site_describes_its_training_data(open_site: OpenSite) -> None:
    workspace, config = open_site()
    description = describe_site(workspace, config, "run-1")
    samples = training_samples(workspace, config)
    assert description.name == "north"
    assert description.base == workspace.base.digest
    assert description.images == len(samples.train)
    assert description.patients == 12 - len({s.patient for s in samples.validation})


@pytest.mark.parametrize("batch_norm", ["average", "local", "frozen"])
@pytest.mark.parametrize("round_number", [1, 2, 3, 4])
def test_a_reply_holds_the_trainable_stages_and_nothing_else(
    requests: SimpleNamespace, open_site: OpenSite, round_number: int, batch_norm: str
) -> None:
    workspace, config = open_site(batch_norm=batch_norm)
    stages = {1: ("fc.",), 2: ("layer4.", "fc."), 3: ("layer3.", "layer4.", "fc."),
              4: ("layer2.", "layer3.", "layer4.", "fc.")}[round_number]  # fmt: skip
    left_out: tuple[str, ...] = ("num_batches_tracked",)
    if batch_norm != "average":
        left_out += ("running_mean", "running_var")
    expected = [
        key for key in workspace.base.state if key.startswith(stages) and not key.endswith(left_out)
    ]
    reply = requests.train(workspace, config, round_number)
    assert list(reply.delta) == expected
    assert list(arrays_in(reply.to_content(), "delta")) == expected
    assert any(array.dtype != "zero" for array in reply.delta.values())


def test_the_reply_is_what_training_changed(requests: SimpleNamespace, open_site: OpenSite) -> None:
    workspace, config = open_site()
    reply = requests.train(workspace, config, 2)
    start_model = requests.received(workspace, config, ("head",))
    start = start_model.state_dict()
    delta = from_record(reply.delta, manifest_of_parts(start_model, ("layer4", "head"), "average"))
    weights = {key: start[key].numpy() + array for key, array in delta.items()}
    again = requests.train(workspace, config, 2)
    # The one network of the process still holds the trained weights.
    trained = shared_model(config.backbone, config.dropout, workspace.device).state_dict()
    for key, array in weights.items():
        np.testing.assert_allclose(
            array, trained[key].numpy(), rtol=0, atol=1e-6 * abs(array).max()
        )
        assert again.delta[key].data == reply.delta[key].data


@pytest.mark.parametrize(
    ("round_number", "batch_norm", "usable"),
    [(1, "average", True), (2, "average", False), (2, "local", False), (2, "frozen", True)],
)
def test_a_single_image_trains_no_batch_norm_of_single_values(
    requests: SimpleNamespace, open_site: OpenSite, monkeypatch: pytest.MonkeyPatch,
    round_number: int, batch_norm: str, usable: bool,
) -> None:  # fmt: skip
    """At 32 px layer4, which trains from round 2 on, has feature maps of one value."""
    workspace, config = open_site(batch_norm=batch_norm)
    few = training_samples(workspace, config)
    one = replace(few, train=few.train[:1])
    monkeypatch.setattr("client.handlers.train.training_samples", lambda *_: one)
    if usable:
        assert requests.train(workspace, config, round_number).images == 1
        return
    with pytest.raises(SiteError, match=r"north has one training image, .*image-size=33") as caught:
        requests.train(workspace, config, round_number)
    assert "too few training images" in caught.value.shareable


def test_the_counts_of_a_reply(requests: SimpleNamespace, open_site: OpenSite) -> None:
    workspace, config = open_site(batch_size=4, local_epochs=2)
    samples = training_samples(workspace, config)
    expected = evaluate_samples(
        requests.received(workspace, config, ("head",)), samples.validation, 4
    )
    events: list[Event] = []
    with listening(events.append):
        reply = requests.train(workspace, config, 2)
    assert (reply.site, reply.round) == ("north", 2)
    assert reply.images == len(samples.train)
    assert reply.patients == len({s.patient for s in samples.train})
    assert reply.histogram == expected
    assert reply.frozen.startswith("sha256:")
    assert reply.train_seconds > 0
    assert reply.evaluate_seconds > 0
    assert reply.peak_memory > 2**20
    busy = [event for event in events if isinstance(event, SiteBusy)]
    # Whether features are computed first depends on what computing them takes here.
    named = [event for event in busy if event.task != "computing features"]
    assert [event.task for event in named] == ["evaluating", "training"]
    assert sum(isinstance(event, StepDone) for event in events) == sum(e.steps for e in busy)
    assert named[1].steps == reply.steps


@pytest.mark.parametrize(("min_cell", "suppressed"), [(1, False), (2, True)])
def test_small_classes_are_to_be_suppressed(
    requests: SimpleNamespace, open_site: OpenSite, min_cell: int, suppressed: bool
) -> None:
    """Of 6 patients a class, a fifth are 1 for validation."""
    workspace, config = open_site(min_cell=min_cell)
    reply = requests.train(workspace, config, 1)
    assert (reply.histogram.total_positives, reply.histogram.total_negatives) == (1, 1)
    assert reply.suppress == suppressed
    assert requests.evaluate(workspace, config, "validation", after=1).suppress == suppressed


def test_evaluation_of_all_patients_or_of_those_for_validation(
    requests: SimpleNamespace, open_site: OpenSite
) -> None:
    workspace, config = open_site()
    everybody = requests.evaluate(workspace, config, "all", after=1).histogram
    assert (everybody.total_positives, everybody.total_negatives) == (6, 6)
    model = requests.received(workspace, config, ("head",))
    assert everybody == evaluate_samples(model, workspace.all_samples(), config.batch_size)
    some = requests.evaluate(workspace, config, "validation", after=1).histogram
    assert (some.total_positives, some.total_negatives) == (1, 1)


def test_a_site_without_images_has_nothing_to_evaluate(
    requests: SimpleNamespace, open_site: OpenSite, tmp_path: Path
) -> None:
    workspace, config = open_site()
    for image in (tmp_path / "north" / "images").iterdir():
        image.unlink()
    workspace, config = open_site(validation_fraction=0.3)
    with pytest.raises(SiteError, match=r"No image of north was admitted.*fedthaw site check"):
        requests.evaluate(workspace, config, "all", after=1)


def test_another_manifest_is_refused_before_anything_is_trained(
    requests: SimpleNamespace, open_site: OpenSite
) -> None:
    workspace, config = open_site()
    with pytest.raises(ProtocolError, match="this site would send 2"):
        requests.train(workspace, config, 1, expects=("fc.weight float32 1x64",))
    assert not workspace.state_folder("run-1").exists()


def test_another_base_is_refused_before_anything_is_trained(
    requests: SimpleNamespace, open_site: OpenSite
) -> None:
    workspace, config = open_site()
    with pytest.raises(ProtocolError, match="pretrained base"):
        requests.train(workspace, config, 1, base="sha256:00")
    assert not workspace.state_folder("run-1").exists()


def test_a_frozen_stage_that_changed_is_no_reply(
    requests: SimpleNamespace, open_site: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, config = open_site()

    def drift(model: Network, *_: object, **__: object) -> None:
        model.state_dict()["bn1.running_mean"] += 1e-3

    monkeypatch.setattr("client.handlers.train.train_round", drift)
    with pytest.raises(FedThawError, match="A frozen unit changed"):
        requests.train(workspace, config, 1)


def test_peak_memory_of_this_process_is_in_bytes() -> None:
    # Python with PyTorch takes more than 50 MB and less than 100 GB.
    assert 50e6 < peak_memory(torch.device("cpu")) < 100e9
