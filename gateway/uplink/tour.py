"""Which broker is next, where there are several, and what is known of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.uplink.address import Broker


@dataclass(slots=True)
class _Stop:
    broker: Broker
    known: bool = False  # it has let us in before, so it may hold our session
    reason: str = ""
    refusal: str = ""
    logged: str = ""  # the sentence of the last failure, until a connection has lasted: a flapping link is told once


class Tour:
    """The first broker as long as it can be used, then the others in turn, and the first again."""

    def __init__(self, brokers: Sequence[Broker]) -> None:
        self._stops = [_Stop(broker) for broker in brokers]
        self._at = 0
        self._last: int | None = None
        self._greeted = False
        self.moved = False

    @property
    def broker(self) -> Broker:
        """The one that is used now, or tried next."""
        return self._stops[self._at].broker

    @property
    def known(self) -> bool:
        """Whether this broker has let us in before."""
        return self._stops[self._at].known

    def welcome(self) -> bool:
        """It lets us in; True when it had refused to. ``moved`` says whether another one was used before."""
        stop = self._stops[self._at]
        refused = bool(stop.refusal)
        stop.known, stop.reason, stop.refusal = True, "", ""
        self.moved, self._last = self._last not in (None, self._at), self._at
        return refused

    def failed(self, sentence: str, discreet: str) -> bool:
        """It cannot be used; True when that is news. ``discreet``: without the broker's own words."""
        stop = self._stops[self._at]
        news, stop.reason, stop.logged = discreet != stop.logged, sentence, discreet
        if news:
            self._greeted = False
        return news

    def lasted(self) -> None:
        """A connection has held for a while: its next failure is news again."""
        self._stops[self._at].logged = ""

    def greets(self) -> bool:
        """Whether it is worth a line that a broker lets us in: not at every turn of a flapping link."""
        news, self._greeted = not self._greeted, True
        return news

    def refused(self, discreet: str) -> bool:
        """It does not want us; True when that has not been told."""
        stop = self._stops[self._at]
        news, stop.refusal = discreet != stop.refusal, discreet
        return news

    def go_on(self, *, good: bool) -> bool:
        """Choose the next one after an end; True when it is to be tried at once. ``good``: this one was of use."""
        self._at = 0 if good else (self._at + 1) % len(self._stops)
        return not good and self._at > 0

    def reason(self) -> str:
        """Why none can be used, in a sentence each."""
        return " / ".join(dict.fromkeys(stop.reason for stop in self._stops if stop.reason))

    def instead_of(self) -> str:
        """Why the first is not used, while another is."""
        return self._stops[0].reason if self._at else ""
