"""The process during a call: as a command would have it, and afterwards as its owner left it."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from fedthaw.progress import Progress, showing

_ENVIRONMENT = {
    # Read when PyTorch and Flower are imported, as `shared.terminal.cli` says.
    "OMP_WAIT_POLICY": "PASSIVE",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
}
_LOGGERS = ("flwr", "matplotlib", "urllib3.connectionpool")
"""Whose levels FedThaw sets."""
_KEEPING = ("client.workspace", "server.federation.global_model", "server.training.weights")
"""Modules that keep models or data for the next message, with a function `forget`."""
_one_call = threading.RLock()


@contextmanager
def session(progress: Progress) -> Iterator[None]:
    """One call of the package.

    Calls from several threads wait for each other: threads, seeds and listeners are the process's.
    """
    with _one_call, ExitStack() as stack:
        stack.enter_context(_environment())
        stack.enter_context(_loggers())
        stack.enter_context(_numbers())
        stack.enter_context(showing(progress))
        try:
            yield
        finally:
            _forget()


@contextmanager
def _environment() -> Iterator[None]:
    missing = [name for name in _ENVIRONMENT if name not in os.environ]
    os.environ.update({name: _ENVIRONMENT[name] for name in missing})
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


@contextmanager
def _loggers() -> Iterator[None]:
    before = [(one := logging.getLogger(name), one.level, one.propagate) for name in _LOGGERS]
    try:
        yield
    finally:
        for logger, level, propagate in before:
            logger.setLevel(level)
            logger.propagate = propagate


@contextmanager
def _numbers() -> Iterator[None]:
    """PyTorch and NumPy as in a new process, so that results do not depend on the notebook."""
    import numpy as np
    import torch

    with ExitStack() as stack:
        _keep(stack, torch.set_num_threads, torch.get_num_threads())
        _keep(stack, torch.set_rng_state, torch.get_rng_state())
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            _keep(stack, torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
        for name in ("benchmark", "deterministic", "allow_tf32"):
            value = getattr(torch.backends.cudnn, name)
            stack.callback(setattr, torch.backends.cudnn, name, value)
        _keep(stack, torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        _keep(stack, torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        torch.set_float32_matmul_precision("highest")
        _keep(
            stack, torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled()
        )
        torch.use_deterministic_algorithms(False)
        if (device := torch.get_default_device()).type != "cpu":
            _keep(stack, torch.set_default_device, device)
            torch.set_default_device(None)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        yield


def _keep(stack: ExitStack, restore: object, value: object) -> None:
    assert callable(restore)
    stack.callback(restore, value)


def _forget() -> None:
    """A notebook's process lives on, while files change and memory is wanted for other things."""
    for name in _KEEPING:
        if name in sys.modules:
            importlib.import_module(name).forget()
