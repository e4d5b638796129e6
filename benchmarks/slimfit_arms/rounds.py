"""A federation's rounds on pictures in memory, of the product's own parts.

The coordinator's rule chooses the units, sites take the product's training steps, and their mean
change gives the signals that the next choice is made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from benchmarks.slimfit_arms import base
from benchmarks.slimfit_arms.pictures import Pictures
from benchmarks.slimfit_arms.task import Task
from client.exchange import difference, snapshot
from client.model.device import choose_precision
from client.train.optimizer import build_optimizer, read_moments, restore_moments, set_rates
from client.train.step import Learner
from server.aggregation.mean import RunningMean
from server.federation.global_model import Reference
from server.schedule.measure import agreement_of, unit_signals
from server.schedule.select import Choice, Past, Seen, select_units
from shared.model.freezing import set_trainable
from shared.model.manifest import sizes_of_units
from shared.model.network import Network
from shared.model.pretrained import Base
from shared.seeds import derive_seed
from shared.settings.config import RunConfig
from shared.settings.dynamics import Budget, candidates
from shared.settings.schedule import Plan, plan_of_units, plan_round


@dataclass
class Site:
    """Pictures by their places, and what it remembers of its optimiser."""

    name: str
    places: Tensor
    moments: Mapping[str, Tensor] = field(default_factory=dict)
    taken: int = 0

    def next_batch(self, task: Task) -> tuple[Tensor, Tensor]:
        """Places (batch,), each once an epoch, and which of them are mirrored (batch,)."""
        found, mirrored = [], []
        for number in range(self.taken, self.taken + task.batch):
            epoch, place = divmod(number, len(self.places))
            seed = derive_seed(task.seed, self.name, "epoch", epoch)
            generator = torch.Generator().manual_seed(seed)
            found.append(self.places[torch.randperm(len(self.places), generator=generator)[place]])
            mirrored.append(torch.rand(len(self.places), generator=generator)[place] < 0.5)
        self.taken += task.batch
        return torch.stack(found), torch.stack(mirrored)


def build_model(task: Task, config: RunConfig) -> tuple[Network, Reference]:
    """The network to train, and the base that it begins as, drawn head included."""
    state = base.read(task.weights)
    model, network = (base.build(state, config.outputs, task.seed) for _ in range(2))
    held = {key: value.detach() for key, value in network.state_dict().items()}
    return model, Reference(
        Base(held, "", str(task.weights.name), "", True, base.VIT_S_14), network, config.batch_norm
    )


def train(
    task: Task, config: RunConfig, pictures: Pictures, sites: int
) -> tuple[Network, list[Plan]]:
    """All rounds; the model and what each round trained."""
    model, reference = build_model(task, config)
    order = torch.randperm(
        len(pictures), generator=torch.Generator().manual_seed(derive_seed(task.seed, "deal"))
    )
    dealt = [Site(f"site{n}", places) for n, places in enumerate(order.chunk(sites))]
    past: dict[str, Seen] = {}
    plans = []
    for number in range(1, config.rounds + 1):
        plan = decide(config, reference, number, past)
        past |= run_round(task, config, model, reference, plan, pictures, dealt)
        plans.append(plan)
    return model, plans


def decide(config: RunConfig, reference: Reference, number: int, past: Past) -> Plan:
    """As `server/schedule/policy.py` decides from a ledger."""
    if config.schedule != "dynamics":
        return plan_round(config, number)
    sizes, head = sizes_of_units(reference.network, config.batch_norm), config.network.head
    choice = Choice(number, candidates(config), sizes, Budget.of(config, sizes), config.seed)
    chosen = select_units(config.select, choice, past)
    return plan_of_units(config, number, {*chosen, head}, {*past, head})


def run_round(
    task: Task, config: RunConfig, model: Network, reference: Reference, plan: Plan,
    pictures: Pictures, sites: list[Site],
) -> dict[str, Seen]:  # fmt: skip
    """Train at each site from the same weights and take the mean; what each unit showed."""
    keys = [spec.name for spec in reference.specs(plan.trainable)]
    received = snapshot(model, keys)
    before = difference(received, {key: reference.base.state[key] for key in keys})
    agreement = agreement_of(reference, before)
    mean = RunningMean({key: array.shape for key, array in before.items()})
    for site in sites:
        model.load_state_dict(received, strict=False)
        _train_site(task, config, model, plan, pictures, site, task.steps // len(sites))
        update = difference(snapshot(model, keys), received)
        agreement.add(site.name, update, 1)
        mean.add(update, 1)
    changed = mean.result()
    after = {key: before[key] + changed[key] for key in keys}
    model.load_state_dict(
        {key: received[key] + torch.from_numpy(changed[key]) for key in keys}, strict=False
    )
    found = unit_signals(reference, before, after, agreement)
    return {unit: Seen(plan.round, own.distance, own.agreement) for unit, own in found.items()}


def _train_site(
    task: Task, config: RunConfig, model: Network, plan: Plan, pictures: Pictures, site: Site,
    steps: int,
) -> None:  # fmt: skip
    """As `client/train/trainer.py` does, but from pictures in memory."""
    learner = learner_of(config, model, plan)
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    restore_moments(learner.optimizer, parameters, site.moments)
    for step in range(steps):
        places, mirrored = site.next_batch(task)
        torch.manual_seed(derive_seed(config.seed, site.name, plan.round, "step", step))
        set_rates(learner.optimizer, plan, config, step, steps)
        learner.step(pictures.batch(places, task.side, mirrored), targets(pictures, places, config))
    site.moments = read_moments(learner.optimizer, parameters)


def learner_of(config: RunConfig, model: Network, plan: Plan) -> Learner:
    """What takes the steps of a round; what the plan leaves out is frozen."""
    set_trainable(model, plan.trainable, config.batch_norm)
    model.recompute = config.activations == "recompute"
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    groups = {
        part: [trained[n] for n in model.backbone.keys_of(trained, [part])]
        for part in plan.trainable
    }
    precision = choose_precision(config.precision, model.device)
    return Learner(
        model=model, optimizer=build_optimizer(groups, plan, config), scaler=precision.scaler(),
        precision=precision, plan=plan, config=config, entry=model.backbone.stages[0],
        received=(), outcome=config.predicts,
    )  # fmt: skip


def targets(pictures: Pictures, places: Tensor, config: RunConfig) -> Tensor:
    """What the outcome's loss takes, (n, classes)."""
    known = pictures.classes[places].tolist()
    return torch.tensor([config.predicts.target(label) for label in known])


def is_correct(task: Task, config: RunConfig, model: Network, pictures: Pictures) -> list[bool]:
    """Whether the class of the highest logit is a picture's own."""
    model.eval()
    precision, found = choose_precision(config.precision, model.device), []
    with torch.no_grad(), precision.autocast():
        for places in pictures.parts(100):
            logits = model(pictures.batch(places, task.side))
            found.append(logits.argmax(dim=1) == pictures.classes[places])
    kept: list[bool] = torch.cat(found).tolist()
    return kept
