"""Which speeds and formats a search tries, the likeliest first, for each protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from gateway.scan.fingerprint import Sheet
from gateway.settings import SerialSettings

# What Modbus devices are delivered with, beside what the profiles say; the standard's own default is 19200 8E1.
MODBUS = ((9600, "8N1"), (4800, "8N1"), (19200, "8E1"), (19200, "8N1"), (9600, "8E1"), (115200, "8N1"))
DLT645 = ((2400, "8E1"), (9600, "8E1"), (1200, "8E1"), (4800, "8E1"))
CJT188 = ((2400, "8E1"), (9600, "8E1"))
MBUS = ((2400, "8E1"),)
TALKING = ((9600, "8N1"), (4800, "8N1"), (115200, "8N1"), (38400, "8N1"), (19200, "8N1"), (2400, "8N1"), (1200, "8N1"))
LIKELY = {"modbus": MODBUS, "dlt645": DLT645, "cjt188": CJT188, "mbus": MBUS, "talking": TALKING}
EVERY_BAUD = (9600, 4800, 19200, 2400, 115200, 38400, 57600, 1200)
EVERY_FORMAT = {"modbus": ("8N1", "8E1", "8O1"), "modbus-ascii": ("7E1", "8N1", "7N2"), "mbus": ("8E1",)}
METER_FORMATS = ("8E1", "8N1")
MBUS_BAUDS = (2400, 300, 9600)
ODD_BAUDS = (9600, 19200)  # where odd parity is met with
ASCII_BAUDS = (9600, 19200, 4800)


def settings_to_try(
    protocol: str,
    *,
    thorough: bool,
    own: SerialSettings | None,
    bauds: Sequence[int],
    formats: Sequence[str],
    sheets: Iterable[Sheet] = (),
) -> list[SerialSettings]:
    """All settings for one protocol in order; ``bauds`` and ``formats``, where given, are the only ones."""
    base = protocol.partition("-")[0]
    pairs = [(own.baud, own.format)] if own and base == "modbus" else []
    pairs += _likely(protocol, base)
    pairs += _of_profiles(base, sheets)
    kinds = EVERY_FORMAT.get(protocol, METER_FORMATS if base in ("dlt645", "cjt188") else ("8N1",))
    if thorough:
        speeds = MBUS_BAUDS if base == "mbus" else ASCII_BAUDS if protocol == "modbus-ascii" else EVERY_BAUD
        pairs += [(baud, kind) for kind in kinds for baud in (ODD_BAUDS if kind == "8O1" else speeds)]
    if bauds or formats:
        chosen = tuple(bauds) or tuple(dict.fromkeys(baud for baud, _ in pairs))
        kinds = tuple(formats) or (kinds if thorough else kinds[:1])
        pairs = [(baud, kind) for baud in chosen for kind in kinds]
    # One stop bit more is no difference to the one who listens.
    kept = [pair for pair in pairs if pair[1] != "8N2" or formats or (pair[0], "8N1") not in pairs]
    return [SerialSettings(baud=baud, format=kind) for baud, kind in dict.fromkeys(kept)]


def _likely(protocol: str, base: str) -> list[tuple[int, str]]:
    if protocol == "modbus-ascii":
        return [(baud, EVERY_FORMAT[protocol][0]) for baud in ASCII_BAUDS]
    return list(LIKELY[base])


def _of_profiles(base: str, sheets: Iterable[Sheet]) -> list[tuple[int, str]]:
    """What the profiles of this protocol are delivered with, the most frequent first."""
    talkers = ("nmea", "line", "frames")
    counts = Counter(
        (sheet.profile.serial.baud, sheet.profile.serial.format)
        for sheet in sheets
        if sheet.profile.serial
        and (sheet.profile.driver == base or (base == "talking" and sheet.profile.driver in talkers))
    )
    return [pair for pair, _ in counts.most_common()]
