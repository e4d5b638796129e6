"""The recipe of arXiv:2507.12269 coded plainly: one place, no federation, nothing kept.

Images are loaded and augmented each epoch, frozen layers are run each time, torch's own OneCycleLR
spans the fine-tuning. One thing is not as in the authors' code: frozen layers are in eval mode
here, else their BatchNorm statistics drift.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from benchmarks.recipe_arms.common import (
    Loader,
    begin,
    device_of_this_machine,
    network,
    save_model,
    train_loader,
    validate,
    validation_loader,
)
from benchmarks.recipe_arms.job import Job, Trained, write_trained
from client.data.augment import cutmix
from shared.settings.config import RunConfig
from shared.settings.schedule import thaw_index

BODY = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")


def train(job: Job, folder: Path) -> None:
    """Train on all sites' training patients; leave model and measures in `folder`."""
    config, device = job.config(), device_of_this_machine()
    torch.manual_seed(job.seed)
    beginning = begin(job)
    training = [sample for site in beginning.sites for sample in site.train]
    loader = train_loader(training, job, job.plain_workers)
    held_out = [sample for site in beginning.sites for sample in site.validation]
    validation = validation_loader(held_out, job)
    model = network(job)
    model.load_state_dict(beginning.state)
    model.to(device)

    started = time.monotonic()
    probe(model, loader, validation, config)
    fine_tune(model, loader, validation, config)
    seconds = time.monotonic() - started
    save_model(folder, model.state_dict())
    write_trained(folder, Trained(seconds, 0, 0))


def probe(model: nn.Module, loader: Loader, validation: Loader, config: RunConfig) -> None:
    """The head alone at one rate."""
    thaw(model, ())
    optimizer = AdamW(
        model.get_submodule("fc").parameters(), lr=config.lr_probe, weight_decay=config.weight_decay
    )
    for epoch in range(config.probe_rounds):
        run_epoch(model, loader, optimizer, None, (), 0.0, config.cutmix_alpha)
        report("probe", epoch, model, validation)


def fine_tune(model: nn.Module, loader: Loader, validation: Loader, config: RunConfig) -> None:
    """All groups are in the optimiser from the start; what is frozen has no gradient."""
    if config.rounds == 0:
        return
    rates = {"fc": config.lr_head, **config.stage_rates}
    decays = {"fc": config.weight_decay_head}
    optimizer = AdamW(
        [
            {
                "params": list(model.get_submodule(name).parameters()),
                "lr": rate,
                "weight_decay": decays.get(name, config.weight_decay),
            }
            for name, rate in rates.items()
        ]
    )
    schedule = OneCycleLR(optimizer, list(rates.values()), total_steps=config.rounds * len(loader))
    thaws = config.thaws
    for epoch in range(config.rounds):
        thawed = tuple(
            name for name, share in thaws.items() if epoch >= thaw_index(share, config.rounds)
        )
        thaw(model, thawed)
        run_epoch(
            model, loader, optimizer, schedule, thawed, config.cutmix_probability,
            config.cutmix_alpha,
        )  # fmt: skip
        report("fine-tuning", epoch, model, validation)


def thaw(model: nn.Module, thawed: tuple[str, ...]) -> None:
    for name in BODY:
        model.get_submodule(name).requires_grad_(name in thawed)


def run_epoch(
    model: nn.Module,
    loader: Loader,
    optimizer: Optimizer,
    schedule: LRScheduler | None,
    thawed: tuple[str, ...],
    cutmix_probability: float,
    cutmix_alpha: float,
) -> None:
    model.train()
    for name in BODY:
        model.get_submodule(name).train(name in thawed)
    device = next(model.parameters()).device
    criterion = nn.BCEWithLogitsLoss()
    for batch, answers in loader:
        images, labels = batch.to(device), answers.to(device)
        if torch.rand(()) < cutmix_probability:
            images, labels = cutmix(images, labels, cutmix_alpha)
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()


def report(phase: str, epoch: int, model: nn.Module, validation: Loader) -> None:
    loss, accuracy = validate(model, validation, next(model.parameters()).device)
    print(f"{phase} epoch {epoch + 1}: validation loss {loss:.3f}, accuracy {accuracy:.3f}",
          file=sys.stderr, flush=True)  # fmt: skip
