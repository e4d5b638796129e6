"""What is written over an old file is a safetensors file like any other."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from safetensors import safe_open

from shared.storage.tensor_file import write_over

TENSORS = st.dictionaries(
    st.text(min_size=1, max_size=20).filter(lambda name: name != "__metadata__"),
    st.one_of(
        arrays(np.float32, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)),
        arrays(np.int64, array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=5)),
        arrays(np.uint8, array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=5)),
    ),
    max_size=6,
)


@given(TENSORS, st.dictionaries(st.text(max_size=9), st.text(max_size=9)), st.binary(max_size=2000))
def test_safetensors_reads_what_was_written(
    tensors: dict[str, NDArray[Any]], metadata: dict[str, str], before: bytes
) -> None:
    """Whatever was there before, longer or shorter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        path.write_bytes(before)
        write_over(path, tensors, metadata)
        found = safetensors.numpy.load_file(path)
        as_tensors = safetensors.torch.load_file(path)
        with safe_open(path, framework="numpy") as file:
            assert (file.metadata() or {}) == metadata
    assert found.keys() == as_tensors.keys() == tensors.keys()
    for name, expected in tensors.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)
        np.testing.assert_array_equal(as_tensors[name].numpy(), expected)


def test_views_that_are_not_contiguous(tmp_path: Path) -> None:
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    write_over(tmp_path / "file", {"part": whole.T[1:4]}, {})
    found = safetensors.numpy.load_file(tmp_path / "file")
    np.testing.assert_array_equal(found["part"], whole.T[1:4])


def test_the_file_stays_where_it_is_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(5000))
    before = path.stat()
    write_over(path, {"a": np.ones(3, np.float32)}, {})
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_size < 200


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int8, ">f4"])
def test_other_types_are_refused_before_anything_is_written(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(TypeError, match=r"bias is .* only float32, int64 and uint8"):
        write_over(path, {"bias": np.ones(2, kind)}, {})
    assert path.read_bytes() == b"before"
