"""schedule=dynamics in whole federations: units freeze, thaw, freeze again, and stay sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord
from numpy.typing import NDArray
from safetensors import safe_open

from client.handlers.train import train_on_site
from client.received import LackingError
from client.workspace import open_workspace
from server.federation.global_model import Reference, build_reference, select
from server.run.ledger import RoundRecord, parse_round, read_rounds
from server.schedule.policy import policy_for
from shared.model.delta_digest import delta_digests
from shared.model.freezing import state_digest
from shared.model.network import build_network
from shared.model.pretrained import load_base
from shared.model.resnet import MICRO
from shared.protocol.plan import plan_to_values
from shared.protocol.train import TrainRequest
from shared.settings.config import RunConfig
from shared.settings.rates import MOMENTUM, one_cycle
from shared.settings.schedule import Plan
from shared.wire.arrays import to_record
from shared.wire.increments import apply_increments

ROUNDS = 7
SETTINGS: dict[str, Any] = {
    "schedule": "dynamics", "select": "random", "freeze_rate": 0.5, "rounds": ROUNDS - 1,
    "probe_rounds": 1, "update_dtype": "int8", "strategy": "fedadam", "seed": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """A run with what went to the sites and came back."""

    config: RunConfig
    reference: Reference
    records: list[RoundRecord]
    requests: list[TrainRequest]
    """One of each round."""
    proofs: list[set[str]]
    """The digests of frozen units that the sites sent in each round."""

    def trained(self, number: int) -> set[str]:
        return set(MICRO.units_of(self.requests[number - 1].plan.trainable))

    def sent(self, number: int) -> dict[str, NDArray[np.float32]]:
        """What the requests up to that of a round make of the base, as deltas."""
        held: dict[str, NDArray[np.float32]] = {}
        for request in self.requests[:number]:
            assert request.model.whole == ()
            specs = self.reference.specs(request.model.changed, self.config.update_dtype)
            held |= apply_increments(request.model.delta, held, specs)
        thawed = self.requests[number - 1].plan.thawed
        assert (
            tuple(
                delta_digests(self.reference.network, thawed, self.config.batch_norm, held).values()
            )
            == self.requests[number - 1].model.digests
        )
        return select(self.reference, held, thawed)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, three_sites: tuple[Path, ...], base_file: Path,
    micro_config: Callable[..., RunConfig], simulate_watched: Callable[..., Any],
) -> Finished:  # fmt: skip
    folder = tmp_path_factory.mktemp("dynamics")
    config = micro_config(
        **SETTINGS, weights=str(base_file), out=str(folder / "run"), augmentation="none",
        sites=":".join(map(str, three_sites[:2])), retries=0,
    )  # fmt: skip
    _, traffic = simulate_watched(config)
    requests, replies = traffic.of("train")
    proofs: list[set[str]] = [set() for _ in range(ROUNDS)]
    for reply in replies:
        report = reply.content.config_records["report"]
        proofs[int(report["round"]) - 1].add(str(report["frozen"]))
    return Finished(
        config,
        build_reference(config, load_base(config)),
        read_rounds(folder / "run" / "ledger.jsonl"),
        [TrainRequest.from_content(one.content, MICRO) for one in requests[::2]],
        proofs,
    )


def test_units_freeze_and_thaw_as_the_ledger_says(finished: Finished) -> None:
    """The ledger alone, read back, gives each decision."""
    policy = policy_for(finished.config, finished.reference)
    for record in finished.records:
        assert dict(record.refused) == {}
        plan = policy(record.round, finished.records[: record.round - 1])
        assert plan is not None
        assert plan_to_values(plan) == record.plan
        assert plan == finished.requests[record.round - 1].plan
        trained = finished.trained(record.round)
        assert len(trained) == (1 if record.round == 1 else 3)
        assert "head" in trained
        assert "stem" not in trained
        assert record.signals is not None
        assert record.signals.units.keys() == trained
        assert record.signals.log_loss is not None
        for signals in record.signals.units.values():
            assert signals.signal_to_noise is not None
    # Some unit trains, pauses and trains again, or the tests below say nothing.
    pauses = [
        unit
        for unit in ("layer1.0", "layer2.0", "layer3.0", "layer4.0")
        for number in range(2, ROUNDS - 1)
        if unit in finished.trained(number)
        and unit not in finished.trained(number + 1)
        and any(unit in finished.trained(later) for later in range(number + 2, ROUNDS + 1))
    ]
    assert pauses


def test_what_is_frozen_again_stays_as_the_sites_received_it(finished: Finished) -> None:
    """In int8: while a unit pauses, it is not sent again, and stays the same to the last bit."""
    kept = changed = 0
    for number in range(2, ROUNDS + 1):
        before, after = finished.sent(number - 1), finished.sent(number)
        # What entered the round before, and what training changed in it.
        trained = finished.trained(number - 1)
        assert set(MICRO.units_of(finished.requests[number - 1].model.changed)) == trained
        for key, value in before.items():
            same = value.tobytes() == after[key].tobytes()
            assert same == (MICRO.unit_of(key).name not in trained), (number, key)
            kept, changed = kept + same, changed + (not same)
    assert kept > 20
    assert changed > 20


def test_each_site_proves_it(finished: Finished) -> None:
    base = finished.reference.base.state
    for number in range(1, ROUNDS + 1):
        state = {key: value.clone() for key, value in base.items()}
        for key, value in finished.sent(number).items():
            state[key] += state[key].new_tensor(value)
        frozen = MICRO.other_units(finished.trained(number))
        keys = MICRO.keys_of(state, frozen)
        assert finished.proofs[number - 1] == {state_digest({key: state[key] for key in keys})}


def test_the_distance_is_that_of_the_models_two_rounds_apart(finished: Finished) -> None:
    """Of the last round, from its checkpoint and the one before."""
    folder = Path(finished.config.out)
    before, after = (deltas_in(folder, number) for number in (ROUNDS - 1, ROUNDS))
    signals = finished.records[-1].signals
    assert signals is not None
    for unit in finished.trained(ROUNDS):
        moved = size = 0.0
        for key in MICRO.keys_of(after, [unit]):
            if after[key].ndim > 1:
                old = before.get(key, np.zeros_like(after[key]))
                moved += float(((after[key] - old).astype(np.float64) ** 2).sum())
                weights = finished.reference.base.state[key].numpy() + old
                size += float((weights.astype(np.float64) ** 2).sum())
        assert signals.units[unit].distance == pytest.approx((moved / size) ** 0.5, rel=6e-3)
        agreement = signals.units[unit].agreement
        assert agreement is not None
        assert -1 <= agreement <= 1


def deltas_in(folder: Path, number: int, part: str = "delta") -> dict[str, NDArray[np.float32]]:
    with safe_open(folder / f"round-{number:04}.safetensors", framework="numpy") as file:
        return {
            key.removeprefix(f"{part}/"): file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118 (no mapping)
            if key.startswith(f"{part}/")
        }


def test_the_server_optimisers_state_waits_with_the_unit(finished: Finished) -> None:
    """FedAdam's moments, and what the sites have of it: as they were, bit for bit."""
    folder, trained = Path(finished.config.out), finished.trained(ROUNDS)
    before, after = (deltas_in(folder, n, "strategy") for n in (ROUNDS - 1, ROUNDS))
    held, then = (deltas_in(folder, n, "received") for n in (ROUNDS - 1, ROUNDS))
    paused = {key for key in before if MICRO.unit_of(key.partition("/")[2]).name not in trained}
    assert paused
    for key, value in before.items():
        assert (value.tobytes() == after[key].tobytes()) == (key in paused), key
    # A request brings what the round before has changed.
    earlier = finished.trained(ROUNDS - 1)
    assert {MICRO.unit_of(key).name for key in held} - earlier
    for key, value in held.items():
        same = value.tobytes() == then[key].tobytes()
        assert same == (MICRO.unit_of(key).name not in earlier), key


def noise_by_hand(held: dict[str, Any], plan: Plan, steps: int) -> dict[str, float]:
    """By unit, from the moments that a site keeps, and the beta 1 of its last step."""
    first = MOMENTUM
    if plan.phase == "fine-tune":
        first = one_cycle((plan.position + 1) * steps - 1, plan.length * steps).momentum
    signal: dict[str, float] = {}
    power: dict[str, float] = {}
    for key, value in held.items():
        part, _, name = key.partition("/")
        moment, _, name = name.partition("/")
        if part == "optimizer" and moment != "step":
            unit, taken = MICRO.unit_of(name).name, float(held[f"optimizer/step/{name}"])
            exact = value.astype(np.float64)
            if moment == "exp_avg":
                own = float((exact**2).sum()) / (1 - first**taken) ** 2
                signal[unit] = signal.get(unit, 0.0) + own
            else:
                power[unit] = power.get(unit, 0.0) + float(exact.sum()) / (1 - 0.999**taken)
    return {unit: signal[unit] / power[unit] for unit in signal}


def test_a_sites_optimiser_begins_afresh_and_its_feedback_goes_on(
    finished: Finished, micro_config: Callable[..., RunConfig], tmp_path: Path,
    write_site: Callable[..., Path],
) -> None:  # fmt: skip
    """At a site that is given the run's requests, from the first to the last."""
    folder = write_site(tmp_path, "north", 8)
    config = replace(finished.config, sites=str(folder))
    workspace = open_workspace({"partition-id": 0, "num-partitions": 1}, config)
    state = workspace.state_folder(finished.requests[0].run)
    before: dict[str, Any] = {}
    for number, request in enumerate(finished.requests, start=1):
        reply = train_on_site(workspace, config, request)
        assert {reply.frozen} == finished.proofs[number - 1]
        with safe_open(state / f"{number:04}.safetensors", framework="numpy") as file:
            held = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        trained = finished.trained(number)
        noise = noise_by_hand(held, request.plan, reply.steps)
        assert noise.keys() == reply.signal_to_noise.keys() == trained
        assert dict(reply.signal_to_noise) == pytest.approx(noise, rel=0.06)
        earlier = finished.trained(number - 1) if number > 1 else {"head"}
        for key, value in held.items():
            part, _, name = key.partition("/")
            moment, _, name = name.partition("/") if part == "optimizer" else ("", "", name)
            unit = MICRO.unit_of(name).name
            if part == "optimizer":
                assert unit in trained
                if moment == "step":
                    goes_on = unit in earlier and number > 2  # the probe is another phase
                    steps = before[key] if goes_on else 0
                    assert value == steps + reply.steps, (number, key)
            elif unit not in (earlier if part == "received" else trained):
                assert value.tobytes() == before[key].tobytes(), (number, key)
        before = held
    assert any(key.startswith("residual/") for key in before)
    # A site that comes late gets what it lacks with its first request, and trains from the same.
    late = write_site(tmp_path, "late", 8, seed=4)
    config = replace(config, sites=str(late))
    newcomer = open_workspace({"partition-id": 0, "num-partitions": 1}, config)
    last = finished.requests[-1]
    with pytest.raises(LackingError) as lacking:
        train_on_site(newcomer, config, last)
    units = MICRO.units_of(lacking.value.units)
    # What is small, as the head is, travels in float32, and so as it is whenever it has changed.
    once = set().union(*map(finished.trained, range(1, ROUNDS - 1)))
    sent = MICRO.units_of(last.model.changed)
    lossy = {
        MICRO.unit_of(spec.name).name
        for spec in finished.reference.specs(last.model.thawed, "int8")
        if spec.format == "int8"
    }
    assert units == {unit for unit in once if unit not in sent or unit in lossy}
    whole = MICRO.parts_of(units)
    changed = sent - units
    rest = {n: a for n, a in last.model.delta.items() if MICRO.unit_of(n).name in changed}
    entire = to_record(select(finished.reference, finished.sent(ROUNDS), whole))
    delta = ArrayRecord({**rest, **entire})
    model = replace(last.model, changed=MICRO.parts_of(changed), whole=whole, delta=delta)
    reply = train_on_site(newcomer, config, replace(last, model=model))
    assert {reply.frozen} == finished.proofs[-1]
    assert reply.continued_from == 0


def test_features_are_never_kept_of_units_that_have_trained(finished: Finished) -> None:
    """A frozen prefix is cached by the base's digest, so only where all of it is the base's."""
    from client.handlers.features import SiteModel, evaluation_features, training_features
    from client.model.frozen import base_units
    from client.workspace import training_samples
    from shared.model.freezing import set_trainable

    config = replace(finished.config, cutmix_probability=0.0)
    workspace = open_workspace({"partition-id": 0, "num-partitions": 3}, config)
    samples = training_samples(workspace, config).train
    network = build_network("micro", 0.0)
    network.load_state_dict(dict(workspace.base.state))
    plan = replace(finished.requests[-1].plan, trainable=("layer4", "head"), cutmix_probability=0.0)
    set_trainable(network, plan.trainable, config.batch_norm)
    untouched = base_units(network, workspace.base)
    assert (
        training_features(SiteModel(workspace, config, network, untouched), plan, samples)
        is not None
    )
    # layer2 has trained and is frozen again.
    network.state_dict()["layer2.0.conv1.weight"].add_(1e-3)
    untouched = base_units(network, workspace.base)
    assert "layer2.0" not in untouched
    assert (
        training_features(SiteModel(workspace, config, network, untouched), plan, samples) is None
    )
    kept = evaluation_features(SiteModel(workspace, config, network, untouched), 5, samples)
    assert kept is None or kept.boundary == "layer2"


def test_a_line_of_the_ledger_is_read_back_as_it_was(finished: Finished) -> None:
    from server.run.ledger import as_line

    for record in finished.records:
        assert parse_round(as_line(record)) == record
