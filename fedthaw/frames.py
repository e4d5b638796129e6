"""Rows as a pandas.DataFrame, where pandas is installed: FedThaw itself does without."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from shared.errors import ConfigError


def data_frame(rows: Sequence[Mapping[str, Any]], index: str) -> Any:
    """The rows, with one column as the index; ConfigError without pandas."""
    try:
        pandas: Any = importlib.import_module("pandas")
    except ImportError as error:
        raise ConfigError(
            "to_dataframe() needs pandas, which is not installed here: pip install pandas."
        ) from error
    return pandas.DataFrame(list(rows)).set_index(index) if rows else pandas.DataFrame()
