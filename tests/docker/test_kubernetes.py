"""The example for Flower's Kubernetes executor is one that Flower's own parser takes."""

from __future__ import annotations

from pathlib import Path

from flwr.supercore.constant import ExecutorType
from flwr.supercore.superexec.executor import factory
from flwr.supercore.superexec.executor.config import load_executor_config

EXAMPLE = Path(__file__).parents[2] / "docker" / "kubernetes" / "executor.yaml"


def test_flower_reads_the_example() -> None:
    document = load_executor_config(str(EXAMPLE), ExecutorType.KUBERNETES)
    config = factory._kubernetes_executor_config_from_mapping(document)
    assert config.namespace == "fedthaw-north"
    assert config.volume_mounts is not None
    assert {mount["mountPath"] for mount in config.volume_mounts} == {"/data", "/cache"}
    known = set(factory._KUBERNETES_CONFIG_FIELD_MAP) | {"namespace", "image"}
    assert set(document) <= known
