from __future__ import annotations

from typing import Any

import pytest

from shared.errors import ConfigError
from shared.settings.renamed import with_activations, without_replaced


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"recompute": True, "rounds": 3}, {"activations": "recompute", "rounds": 3}),
        ({"recompute": True, "activations": "recompute"}, {"activations": "recompute"}),
        ({"recompute": False, "activations": "int8"}, {"activations": "int8"}),
        ({"rounds": 3}, {"rounds": 3}),
    ],
)
def test_the_earlier_name_is_a_value_of_the_new_one(
    given: dict[str, Any], found: dict[str, Any]
) -> None:
    assert with_activations(given) == found


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"recompute": True, "activations": "int8"}, "leave out recompute"),
        ({"recompute": "yes"}, "it must be true or false"),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        with_activations(given)


def test_a_setting_of_a_command_replaces_that_of_a_file_under_either_name() -> None:
    before = {"recompute": True, "rounds": 3}
    assert without_replaced(before, {"activations": "int4"}) == {"rounds": 3}
    assert without_replaced({"activations": "int4"}, {"recompute": True}) == {}
    assert without_replaced(before, {"rounds": 4}) == before
