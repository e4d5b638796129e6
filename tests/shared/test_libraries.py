"""Python collects no garbage while PyTorch is imported."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from shared.libraries import undisturbed

PROGRAM = """
import gc
from shared.libraries import undisturbed
def state():
    return gc.isenabled(), gc.get_freeze_count() > 0
with undisturbed():
    import json
print(*state())
with undisturbed():
    import torch
print(*torch.state, *state())
gc.unfreeze()
with undisturbed():
    import email
    print(*state())
print(*state())
"""


@pytest.mark.parametrize("contained", [True, False])
def test_only_the_first_import_of_pytorch_is_undisturbed(tmp_path: Path, contained: bool) -> None:
    """A command's process, whose libraries are contained, leaves alone what was imported."""
    (tmp_path / "torch.py").write_text("import gc\nstate = gc.isenabled(), gc.get_freeze_count()\n")
    program = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
    if contained:
        program += "from shared.terminal.noise import contain_libraries\ncontain_libraries()\n"
    done = subprocess.run(
        [sys.executable, "-c", program + PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "True False", f"False 0 True {contained}", "True False", "True False",
    ]  # fmt: skip
    assert done.stderr == ""


def test_an_import_that_fails_leaves_the_collector_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    frozen = gc.get_freeze_count()
    with pytest.raises(ImportError), undisturbed():
        raise ImportError("no such library")
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
