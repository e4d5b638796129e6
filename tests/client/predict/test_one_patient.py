"""A table of one patient's images: they are that patient's, and not each one of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.predict.owners import owned_by_table


@pytest.mark.parametrize("others", ["site,device", "ward,id"])
@pytest.mark.parametrize("images", [1, 3])
def test_all_images_of_a_table_may_be_of_one_patient(
    tmp_path: Path, others: str, images: int
) -> None:
    """Another column that says the same in every row is nobody's identifier."""
    names = [f"scan{number}.png" for number in range(images)]
    for name in names:
        Image.fromarray(np.eye(40, dtype=np.uint8) * 200).save(tmp_path / name)
    rows = [f"north,7,P12,{name}" for name in names]
    table = tmp_path / "table.csv"
    table.write_text("\n".join([f"{others},patient,image", *rows]) + "\n")
    found = owned_by_table(table, (), None, None)
    assert {owner.patient for owner in found.owners.values()} == {"P12"}
    assert len(found.owners) == images


def test_a_column_that_is_the_same_in_all_rows_names_no_patient(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(np.eye(40, dtype=np.uint8) * 200).save(tmp_path / name)
    table = tmp_path / "table.csv"
    table.write_text("id,image\n7,a.png\n7,b.png\n")
    found = owned_by_table(table, (), None, None)
    assert {owner.patient for owner in found.owners.values()} == {"a.png", "b.png"}
