"""Lends a line of the running gateway to a search: one read between two polls, and never anything but a read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from gateway.contract import Clock, CommandError, DeviceSilentError, LineKind, LinkError, Pipe
from gateway.scan.modbus import answers_in
from gateway.scan.reads import MBAP_SIZE, is_read
from gateway.settings import SerialSettings
from gateway.settings.nearest import did_you_mean

if TYPE_CHECKING:
    from gateway.links import AnyLine, Line

PATIENCE = 1.0  # seconds that polls which are due may go first
# Seconds without a byte that end an answer: USB adapters deliver in pieces, serial servers in pieces far apart.
QUIET = {LineKind.SERIAL: 0.08, LineKind.TCP: 0.25, LineKind.UDP: 0.05}
QUIET_WHOLE = 0.02  # behind a whole one, for a second device with the same number
MOST_BYTES = 4096


async def exchange(lines: Iterable[AnyLine], clock: Clock, values: Mapping[str, Any]) -> dict[str, Any]:
    """Send one read and return what came until all was quiet: ``{"heard": hex, "first_ms": …}``, empty after silence.

    ``first_ms`` runs from the question to the first byte, without the wait for a turn; None after silence.

    CommandError 400 for what cannot be sent, 403 for what does not only read, 404 for no such line, 409 for a line
    that is not open or does not take the speed.
    """
    line = _line(lines, values["line"])
    question, serial = _question(values["send"]), _serial(values["baud"], values["format"])
    if serial is not None and line.kind is not LineKind.SERIAL:
        raise CommandError(f"line {line.name} is no serial port and has no speed: leave baud and format out")
    heard = bytearray()
    first_ms: float | None = None

    async def work(pipe: Pipe) -> None:
        nonlocal first_ms
        await pipe.drain_input()
        await pipe.write(question)
        asked = clock.monotonic()
        # Silence is no fault of the line's devices here, and costs their budget nothing.
        with contextlib.suppress(DeviceSilentError, TimeoutError):
            heard.extend(await pipe.read())
            first_ms = round((clock.monotonic() - asked) * 1000, 1)
            while len(heard) < MOST_BYTES:
                whole = answers_in("tcp" if len(question) == MBAP_SIZE else "rtu", bytes(heard))[0]
                async with asyncio.timeout(QUIET_WHOLE if whole else QUIET[line.kind]):
                    heard.extend(await pipe.read())

    try:
        deadline, timeout = clock.monotonic() + PATIENCE, values["wait_ms"] / 1000
        await line.transact(work, deadline=deadline, timeout=timeout, serial=serial)
    except LinkError as error:
        raise CommandError(str(error), 409) from None
    return {"heard": heard.hex(), "first_ms": first_ms}


def _line(lines: Iterable[AnyLine], name: str) -> Line:
    known = {line.name: line for line in lines}
    line = known.get(name)
    if line is None:
        raise CommandError(f'no line "{name[:80]}"; {did_you_mean(name, known)}', 404)
    if line.kind is LineKind.LISTEN:
        raise CommandError(f"on line {name} devices call us: nobody can be asked there", 409)
    return cast("Line", line)


def _question(text: str) -> bytes:
    try:
        question = bytes.fromhex(text)
    except ValueError:
        raise CommandError("send must be bytes in hexadecimal") from None
    if not is_read(question):
        raise CommandError("only questions that read may be sent: this is none", 403)
    return question


def _serial(baud: int | None, form: str | None) -> SerialSettings | None:
    if baud is None and form is None:
        return None
    given = {key: value for key, value in (("baud", baud), ("format", form)) if value is not None}
    try:
        return SerialSettings.model_validate(given)
    except ValidationError as error:
        raise CommandError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
