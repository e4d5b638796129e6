"""A web proxy that the environment names, and this machine's own ports."""

from __future__ import annotations

from collections.abc import Mapping

_VARIABLES = ("no_proxy", "NO_PROXY")


def past_the_proxy(host: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What of the environment must be set so that `host` is asked without a proxy.

    A hospital's proxy knows nothing of another machine's loopback. Programs read one spelling of
    the variable or the other, so both are set.
    """
    named = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    return dict.fromkeys(_VARIABLES, f"{named},{host}" if named else host)
