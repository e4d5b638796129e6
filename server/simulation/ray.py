"""Flower's own simulation engine (Ray), for several GPUs or many cores.

A short-lived SuperLink of its own runs the same two apps; nothing of it stays behind. Progress is
read from the run's ledger, which the ServerApp writes.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from pathlib import Path

from server.run.failure import clear_failure, read_failure
from server.run.folder import open_run
from server.run.ledger import planned_rounds, read_rounds
from server.simulation.superlink import CONNECTION, LOG, flwr, superlink
from server.terminal.progress import reporting
from shared.deployment.proxies import dropped_proxies
from shared.errors import ConfigError, FedThawError, RunError, UserError
from shared.run.bundle import to_toml, write_app_folder
from shared.run.events import ReplyReceived, RoundFinished, RunStarted, Warned, emit
from shared.settings.config import RunConfig
from shared.settings.schedule import may_end_early, total_rounds

CLUSTER_VARIABLE = "RAY_ADDRESS"
"""HOST:PORT of a Ray cluster to use instead of one of our own; Ray itself reads it."""
POLL_SECONDS = 1.0
STATUS_SECONDS = 10.0


def simulate_on_ray(config: RunConfig, nodes: int) -> None:
    """Run the federation of `config.sites` to its end; the result is in the run's folder."""
    if importlib.util.find_spec("ray") is None:
        raise ConfigError(
            "--backend ray needs Flower's simulation extra: pip install 'fedthaw[simulation]'."
        )
    folder = Path(config.out)
    clear_failure(folder)
    with tempfile.TemporaryDirectory(prefix="fedthaw-") as temporary:
        place = Path(temporary)
        write_app_folder(place / "app")
        # Ray's workers search their working directory for packages before the app: keep it empty.
        (place / "empty").mkdir()
        with superlink(place) as environment, reporting():
            for sentence in dropped_proxies():
                emit(Warned(sentence))
            run = _submit(place, environment, config, nodes)
            _follow(place, environment, config, run)


def _submit(place: Path, environment: dict[str, str], config: RunConfig, nodes: int) -> str:
    """Start the run; returns Flower's number of it."""
    settings = place / "run.toml"
    settings.write_text(to_toml(config.to_flat()), encoding="utf-8")
    if os.environ.get(CLUSTER_VARIABLE):
        resources = _of_a_cluster(config, nodes)
    else:
        resources = _of_this_machine(config, nodes)
    answer = flwr(
        place, environment, "run", str(place / "app"), CONNECTION, "--run-config", str(settings),
        "--federation-config", resources, "--format", "json",
    )  # fmt: skip
    if "run-id" not in answer:
        raise RunError(f"Flower did not start the run: {answer}.")
    return str(answer["run-id"])


def _of_this_machine(config: RunConfig, nodes: int) -> str:
    """A Ray of our own with all cores and GPUs of this machine."""
    cores = os.cpu_count() or 1
    # A site's threads are the same as in-process, and with them the last bit of every sum.
    threads = min(config.threads or cores, cores)
    resources = (
        f"num-supernodes={nodes} client-resources-num-cpus={threads} init-args-num-cpus={cores}"
    )
    if gpus := _gpus():
        resources += f" client-resources-num-gpus=1.0 init-args-num-gpus={gpus}"
    return resources


def _of_a_cluster(config: RunConfig, nodes: int) -> str:
    """A Ray cluster that is there: it knows its own cores, and refuses to be given them."""
    return f"num-supernodes={nodes} client-resources-num-cpus={config.threads or 1}"


def _follow(place: Path, environment: dict[str, str], config: RunConfig, run: str) -> None:
    """Report the ledger's rounds as they come, until Flower says that the run has ended."""
    folder, rounds = Path(config.out), total_rounds(config)
    names = tuple(Path(site).name for site in config.site_folders)
    done = len(read_rounds(folder / "ledger.jsonl")) if config.resume else 0
    asked, begun = time.monotonic(), False
    while True:
        time.sleep(POLL_SECONDS)
        if not begun and (folder / "config.json").exists():
            begun = True
            early = may_end_early(config)
            emit(RunStarted(open_run(folder).run, names, rounds, done, str(folder), early))
        for record in read_rounds(folder / "ledger.jsonl")[done:]:
            for name, why in record.refused.items():
                emit(ReplyReceived(name, why))
            size, last = record.bytes_down + record.bytes_up, planned_rounds(config, [record])
            emit(RoundFinished(record.round, last, record.loss, record.auroc, size, record.seconds))
            done = record.round
        # Asking costs seconds; these two files say that the answer will soon be another one.
        over = read_failure(folder) is not None or (folder / "summary.json").exists()
        if over or time.monotonic() - asked > STATUS_SECONDS:
            asked = time.monotonic()
            status = _status(place, environment, run)
            if status.startswith("finished"):
                _conclude(place, folder, status)
                return


def _conclude(place: Path, folder: Path, status: str) -> None:
    """Return for a completed run; else raise what the ServerApp left, or point to Flower's log."""
    failure = read_failure(folder)
    if failure is not None:
        kind: type[FedThawError] = UserError if failure.exit_code == 2 else RunError
        raise kind(failure.sentence)
    if status != "finished:completed":
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "flower.log"
        log.write_bytes((place / LOG).read_bytes())
        raise RunError(
            f"Flower's engine ended the run ({status}); its log is {log}. What was done so far is "
            "kept; continue with --resume."
        )


def _status(place: Path, environment: dict[str, str], run: str) -> str:
    answer = flwr(place, environment, "ls", CONNECTION, "--run-id", run, "--format", "json")
    runs = answer.get("runs") or [{}]
    return str(runs[0].get("status", "unknown"))


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
