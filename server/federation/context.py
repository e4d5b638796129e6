"""What stays the same over a run's rounds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flwr.app import RecordDict
from flwr.serverapp import Grid

from server.aggregation.strategy import Aggregator
from server.disclosure.run import Disclosure
from server.federation.asking import Answer, Further, Read, T, ask
from server.federation.connected import Presence, Registry, connected
from server.federation.downlink import Downlink
from server.federation.global_model import Reference
from server.federation.messaging import Question, Watch
from server.federation.roster import Roster
from server.run.eta import Expected
from server.run.process import raise_if_stopped
from server.run.saving import RoundWriter
from shared.protocol.describe import SiteDescription
from shared.run.events import SiteLost, Warned, emit
from shared.settings.config import RunConfig

SIMULATION_TIMEOUT = 10.0**7


@dataclass(frozen=True)
class Federation:
    """A run's sites, settings and model."""

    grid: Grid
    registry: Registry
    run: str
    folder: Path
    config: RunConfig
    reference: Reference
    aggregator: Aggregator
    roster: Roster
    full_model_bytes: int
    """One message with the whole model in float32."""
    expected: Expected = field(default_factory=Expected)
    """Of the rounds and the final evaluation."""
    disclosure: Disclosure = field(default_factory=Disclosure)
    downlink: Downlink = field(default_factory=Downlink)
    writer: RoundWriter = field(default_factory=RoundWriter)
    excluded: dict[str, str] = field(default_factory=dict)
    """Sites that the run goes on without, and why: an update of theirs made it go back."""
    said: set[str] = field(default_factory=set)
    """Warnings that were given once and are not repeated every round."""

    def look(self) -> Mapping[int, Presence]:
        """Who is connected."""
        return connected(self.grid, self.registry)

    def others(self, taking_part: Collection[str]) -> tuple[tuple[str, ...], dict[str, str]]:
        """Registered sites that are not connected, and those that are and cannot take part: why."""
        away = set(self.registry().values()) - set(taking_part)
        unable = {n: why for n, why in self.roster.unable(self.look()).items() if n in away}
        return tuple(sorted(away - unable.keys())), unable

    def check(self) -> None:
        """RunError where the run's owner wants it stopped, or its last round cannot be written."""
        raise_if_stopped(self.folder)
        self.writer.check()

    def data_of(self, names: Iterable[str]) -> dict[str, str]:
        """A digest of each of these sites' data, by what it said of itself."""
        known = {site.name: site.data for site in self.roster.sites.values()}
        return {name: known.get(name, "") for name in names}

    def lost(self, node: int, back: bool) -> None:
        """Report that a site's connection is lost, or back."""
        if node in self.roster.sites:
            emit(SiteLost(self.roster.sites[node].name, back))

    def excluded_of(self, sites: Mapping[int, SiteDescription]) -> dict[str, str]:
        """Those of these sites that the run goes on without, and why."""
        return {s.name: self.excluded[s.name] for s in sites.values() if s.name in self.excluded}

    def warn_once(self, sentence: str) -> None:
        """Warn of what would else be said every round."""
        if sentence not in self.said:
            self.said.add(sentence)
            emit(Warned(sentence))

    def ask(
        self,
        contents: Mapping[int, RecordDict],
        message_type: str,
        group: str,
        read: Read[T],
        further: Further = lambda node, content: None,
    ) -> Iterator[Answer[T]]:
        """Send each node its content and read the answers within the run's limits: see `ask`."""
        question = Question(message_type, group, reply_timeout(self.config), patience(self.config))
        watch = Watch(self.look, self.lost, self.check)
        return ask(self.grid, contents, question, read, watch=watch, further=further)


def reply_timeout(config: RunConfig) -> float:
    """Seconds to wait for replies; in a simulation, where sites take turns, none is late."""
    return SIMULATION_TIMEOUT if config.sites else config.round_timeout


def patience(config: RunConfig) -> float:
    """Seconds to wait for a site whose connection is lost."""
    return SIMULATION_TIMEOUT if config.sites else config.reconnect_wait
