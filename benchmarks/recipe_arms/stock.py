"""Stock Flower: FedAvg over the whole network, as Flower's quickstart-pytorch writes it.

To Flower's advantage each worker keeps one network and its sites' patients from message to
message, instead of building them again; clients train side by side on all cores; one rate
throughout, so there is no schedule to carry.
"""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation
from torch import nn

from benchmarks.recipe_arms.common import (
    Beginning,
    Loader,
    begin,
    device_of_this_machine,
    network,
    save_model,
    train_loader,
    validate,
    validation_loader,
)
from benchmarks.recipe_arms.counting import CountingFedAvg
from benchmarks.recipe_arms.job import Job, Trained, write_trained
from client.part import TrainingSamples
from shared.seeds import derive_seed
from shared.settings.schedule import total_rounds

DAY = 24 * 3600.0


def train(job: Job, folder: Path) -> None:
    """Run the federation on Flower's simulation engine and leave model and measures in `folder`."""
    beginning = begin(job)
    run_simulation(
        server_app=server_app(job, beginning, folder),
        client_app=client_app(job, beginning.sites),
        num_supernodes=len(job.sites),
        backend_config={
            "init_args": {"num_cpus": os.cpu_count() or 1, "include_dashboard": False},
            "client_resources": {
                "num_cpus": _threads(job),
                "num_gpus": 1 / job.stock_clients if torch.cuda.is_available() else 0.0,
            },
        },
    )
    if not (folder / "trained.json").exists():
        raise SystemExit("stock Flower did not reach its last round; its log says why")


def client_app(job: Job, sites: tuple[TrainingSamples, ...]) -> ClientApp:
    """The sites' side; it travels to Ray's workers with each message, so it refers to little."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        model, device = _received(job, message)
        site, round_number = _site(context), int(_config(message)["server-round"])
        torch.manual_seed(derive_seed(job.seed, "stock", site, round_number))
        loader = train_loader(sites[site].train, job)
        loss = fit(model, loader, job, device)
        metrics = MetricRecord({"train_loss": loss, "num-examples": len(sites[site].train)})
        content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
        return Message(content=content, reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        model, device = _received(job, message)
        samples = sites[_site(context)].validation
        loss, accuracy = validate(model, validation_loader(samples, job), device)
        metrics = MetricRecord(
            {"eval_loss": loss, "eval_acc": accuracy, "num-examples": len(samples)}
        )
        return Message(content=RecordDict({"metrics": metrics}), reply_to=message)

    return app


def server_app(job: Job, beginning: Beginning, folder: Path) -> ServerApp:
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        strategy = CountingFedAvg(len(job.sites))
        started = time.monotonic()
        result = strategy.start(
            grid=grid,
            initial_arrays=ArrayRecord(beginning.state),
            num_rounds=total_rounds(job.config()),
            timeout=DAY,
        )
        seconds = time.monotonic() - started
        save_model(folder, _as_trained(result.arrays, beginning))
        both = strategy.training_bytes + strategy.evaluation_bytes
        write_trained(folder, Trained(seconds, both, strategy.training_bytes))

    return app


def fit(model: nn.Module, loader: Loader, job: Job, device: torch.device) -> float:
    """An epoch over all weights; the mean loss of its batches."""
    config = job.config()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=job.stock_rate, weight_decay=config.weight_decay
    )
    criterion = nn.BCEWithLogitsLoss()
    model.train()
    running = 0.0
    for _ in range(config.local_epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            running += loss.item()
    return running / (len(loader) * config.local_epochs)


@cache
def _network(job: Job) -> nn.Module:
    torch.set_num_threads(_threads(job))
    return network(job)


def _received(job: Job, message: Message) -> tuple[nn.Module, torch.device]:
    device = device_of_this_machine()
    model = _network(job)
    arrays = message.content["arrays"]
    assert isinstance(arrays, ArrayRecord)
    model.load_state_dict(arrays.to_torch_state_dict())
    model.to(device)
    return model, device


def _config(message: Message) -> dict[str, int]:
    config = message.content["config"]
    assert isinstance(config, ConfigRecord)
    return dict(config)  # type: ignore[arg-type]


def _site(context: Context) -> int:
    return int(context.node_config["partition-id"])


def _threads(job: Job) -> int:
    return max(1, (os.cpu_count() or 1) // job.stock_clients)


def _as_trained(arrays: ArrayRecord, beginning: Beginning) -> dict[str, torch.Tensor]:
    """FedAvg averages BatchNorm's whole counters to fractions; back to their own types."""
    state = arrays.to_torch_state_dict()
    return {name: state[name].to(value.dtype) for name, value in beginning.state.items()}
