"""What a person sees of the demo: a calm screen on a terminal, plain lines of events in a pipe."""

import textwrap
from typing import TYPE_CHECKING, Any, TextIO

from gateway.cli.demo.stage import Stage
from gateway.cli.demo.story import REMEMBERED_LINES, Story, clock_time, point_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

LONGEST_VALUE = 60
ALARM_ROWS = 2


class Lines:
    """Plain lines, each when it happens; for pipes and logs."""

    def __init__(self, story: Story, stream: TextIO) -> None:
        self._story, self._stream = story, stream

    def say(self, line: str) -> None:
        """Print one line at once."""
        print(line, file=self._stream, flush=True)

    def begin(self, stage: Stage) -> None:
        """Say where everything is."""
        for line in invitation(stage):
            self.say(line)

    def turn(self, seconds: float, away: str | None) -> None:
        """Nothing to redraw."""

    def end(self) -> None:
        """Nothing to put away."""


class Screen(Lines):
    """One picture that is redrawn in place: addresses, devices, alarms, passages, what was pulled."""

    def __init__(self, story: Story, stream: TextIO) -> None:
        super().__init__(story, stream)
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream)
        self._live = Live(console=self._console, auto_refresh=False, redirect_stderr=False)
        self._stage: Stage | None = None

    def say(self, line: str) -> None:
        """Print before the picture begins; then events are part of it."""
        if self._stage is None:
            self._console.print(line, markup=False, highlight=False)

    def begin(self, stage: Stage) -> None:
        """Start drawing."""
        self._stage = stage
        self._live.start()

    def turn(self, seconds: float, away: str | None) -> None:
        """Draw the present state; ``away`` says why the gateway cannot be reached, if so."""
        if self._stage is not None:
            self._live.update(self._picture(self._stage, seconds, away), refresh=True)

    def end(self) -> None:
        """Leave the last picture standing."""
        if self._stage is not None:
            self._stage = None
            self._live.stop()

    def _picture(self, stage: Stage, seconds: float, away: str | None) -> "RenderableType":
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        story = self._story
        devices = Table(box=None, pad_edge=False, show_header=False)
        for name in sorted(set(story.latest) | set(story.states)):
            state = story.states.get(name, "")
            dot = {"online": "[green]●[/]", "offline": "[red]●[/]", "degraded": "[yellow]●[/]"}.get(state, "○")
            values = latest_values(story, name) or state
            devices.add_row(dot, name, Text(values, style="" if state != "offline" else "dim"))
        alarms = [
            Text(f"● {subject}  since {clock_time(record['time'])}", style="bold red")
            for subject, record in story.alarms.items()
        ]
        events = [Text(line, overflow="ellipsis", no_wrap=True) for line in story.lines]
        pulled = "  ".join(f"{stream} {ledger.pulled}" for stream, ledger in story.ledgers.items())
        faults = story.faults
        proof = Text(
            "nothing missing" if not faults else "; ".join(faults), style="green" if not faults else "bold red"
        )
        if away is not None:
            proof = Text(f"the gateway does not answer: {away}", style="bold red")
        return Group(
            Panel("\n".join(invitation(stage)[1:]), title=invitation(stage)[0], title_align="left"),
            Panel(devices, title="devices and cameras", title_align="left"),
            Panel(Group(*steady(alarms, ALARM_ROWS)), title="alarms now", title_align="left"),
            Panel(Group(*steady(events, REMEMBERED_LINES)), title="what happened", title_align="left"),
            Panel(
                Group(Text(pulled), proof),
                title=f"pulled by the platform over HTTP, {seconds:.0f} s",
                title_align="left",
            ),
        )


def steady(rows: "list[Text]", number: int) -> "list[Text]":
    """Exactly ``number`` rows, so that the picture stays where it is."""
    from rich.text import Text

    return [*rows[-number:], *[Text("")] * (number - len(rows))]


def show_for(story: Story, stream: TextIO) -> Lines:
    """A screen on a terminal, lines anywhere else."""
    return Screen(story, stream) if stream.isatty() else Lines(story, stream)


def invitation(stage: Stage) -> list[str]:
    """The addresses, and how to look around from another terminal."""
    return [
        "Linli demo: every device is simulated, everything else is real",
        f"status page   http://{stage.address}/#token={stage.token}",
        f"look around   .venv/bin/linli status --state {stage.state}",
        "end           Ctrl-C",
    ]


def latest_values(story: Story, name: str) -> str:
    """The last values of a device in one line."""
    record = story.latest.get(name)
    if record is None:
        return ""
    points = record["data"]["points"]
    return textwrap.shorten(
        ", ".join(f"{point} {point_text(value)}" for point, value in points.items()), LONGEST_VALUE, placeholder=" …"
    )


def summary(story: Story, seconds: float, drawn: frozenset[str]) -> list[str]:
    """The closing lines, honest about what did not happen; ``drawn`` are the plates of the generated clip."""
    streams = ", ".join(f"{stream} {ledger.pulled}" for stream, ledger in story.ledgers.items())
    bad = f", {story.bad_values} of them bad while a sensor was silent" if story.bad_values else ""
    right = sum(story.plates[plate] for plate in drawn)
    passages = f"{story.passages}, {right} of them with a plate read as it was drawn"
    if not drawn:
        passages = "0: no camera, as the extra `vision` is not installed"
    faults = story.faults
    lines = [
        f"after {seconds:.0f} s, all of it from simulated devices and pulled over HTTP:",
        f"  readings        {story.values} values in {story.readings} records{bad}",
        f"  passages        {passages}",
        f"  alarms          {story.raised} raised, {story.acknowledged} acknowledged, {story.cleared} cleared",
        f"  devices         {story.silent} fell silent, {story.back} came back",
        f"  records pulled  {story.pulled} ({streams})",
        "  complete        " + ("yes: every sequence number came once" if not faults else "NO: " + "; ".join(faults)),
    ]
    unseen = not_seen(story, drawn)
    if unseen:
        lines.append("  not seen        " + ", ".join(unseen))
    return lines


def summary_json(story: Story, seconds: float, drawn: frozenset[str]) -> dict[str, Any]:
    """The same sums as one JSON object."""
    return {
        "seconds": round(seconds, 1),
        "readings": {"values": story.values, "records": story.readings, "bad": story.bad_values},
        "passages": {"total": story.passages, "plates": dict(story.plates), "drawn": sorted(drawn)},
        "alarms": {"raised": story.raised, "acknowledged": story.acknowledged, "cleared": story.cleared},
        "devices": {"silent": story.silent, "back": story.back},
        "pulled": {"total": story.pulled, **{stream: ledger.pulled for stream, ledger in story.ledgers.items()}},
        "complete": not story.faults,
        "faults": story.faults,
        "not_seen": not_seen(story, drawn),
    }


def not_seen(story: Story, drawn: frozenset[str]) -> list[str]:
    """What the demo promises and this run did not show."""
    expected = {
        "a reading": story.values > 0,
        "a passage with its plate": not drawn or any(story.plates[plate] for plate in drawn),
        "an alarm raised": story.raised > 0,
        "an acknowledgement": story.acknowledged > 0,
        "an alarm cleared": story.cleared > 0,
        "a silent device": story.silent > 0,
        "its return": story.back > 0,
    }
    return [what for what, seen in expected.items() if not seen]
