"""The certificates that the configuration names: until when they are valid."""

import binascii
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from gateway.cli.doctor.finding import Finding, Probe, look, ok, unseen, wrong
from gateway.cli.doctor.machine import Machine
from gateway.words import many

SOON = 30.0  # days
BLOCKS = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
SEQUENCE, VERSION, UTC_TIME, GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
FORMS = {UTC_TIME: "%y%m%d%H%M%SZ", GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}
MOST_BYTES = 1 << 20


def own(machine: Machine) -> Iterator[Finding]:
    """Every certificate file of the API and the uplinks: the earliest end in it."""
    if machine.plan is None:
        return
    api, uplink = machine.plan.settings.api, machine.plan.settings.uplink
    files = [("[api] tls_cert", api.tls_cert)]
    for name, table in (("mqtt", uplink.mqtt), ("http", uplink.http), ("gat1400", uplink.gat1400)):
        files += [(f"[uplink.{name}] {key}", getattr(table, key, None)) for key in ("cert_file", "ca_file")]
    for where, path in files:
        if path is not None:
            yield _judged(machine, where, path)


def _judged(machine: Machine, where: str, path: Path) -> Finding:
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode("ascii", "replace")
        blocks = BLOCKS.findall(text)
        ends = [valid_until(ssl.PEM_cert_to_DER_cert(block)) for block in blocks]
    except PermissionError:
        return unseen(where, f"{path} may not be read by this user", "run this with sudo")
    except OSError as error:
        return wrong(where, f"{path} cannot be read: {error.strerror}", "put it there, or correct the configuration")
    except (ValueError, IndexError, binascii.Error):
        return wrong(where, f"{path} holds something that is no certificate", "write the certificate into it, as PEM")
    if not ends:
        return wrong(where, f"{path} holds no certificate", "write the certificate into it, as PEM")
    # A bundle of authorities may hold some that are over: what counts is whether any is left.
    end = max(ends) if where.endswith("ca_file") else min(ends)
    left = end.timestamp() - machine.clock.wall() / 1e9
    if left < 0:
        return wrong(where, f"{path} ended on {end:%Y-%m-%d}", "renew it, then restart the gateway")
    if left < SOON * 86400:
        days = many(int(left // 86400), "day")
        return look(where, f"{path} ends on {end:%Y-%m-%d}, in {days}", "renew it, then restart the gateway")
    return ok(where, f"{path} is valid until {end:%Y-%m-%d}")


def valid_until(certificate: bytes) -> datetime:
    """Return the end of a DER certificate's validity (RFC 5280, 4.1); ValueError or IndexError when it is none."""
    outer = _content(certificate, 0, SEQUENCE)
    at = _content(certificate, outer[0], SEQUENCE)[0]
    if certificate[at] == VERSION:
        at = _content(certificate, at, VERSION)[1]
    for _ in ("serialNumber", "signature", "issuer"):
        at = _content(certificate, at)[1]
    begin, _ = _content(certificate, at, SEQUENCE)
    not_after = _content(certificate, begin)[1]
    start, end = _content(certificate, not_after)
    form = FORMS.get(certificate[not_after])
    if form is None:
        raise ValueError("no time where the end of its validity should stand")
    return datetime.strptime(certificate[start:end].decode("ascii"), form).replace(tzinfo=UTC)


def _content(der: bytes, at: int, tag: int | None = None) -> tuple[int, int]:
    """Where the content of the element at ``at`` begins and ends (X.690, 8.1)."""
    if tag is not None and der[at] != tag:
        raise ValueError(f"{der[at]:#x} where {tag:#x} should stand")
    length, begin = der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(der[begin : begin + count], "big")
        begin += count
    if begin + length > len(der):
        raise ValueError("it ends too early")
    return begin, begin + length


PROBES = (Probe("certificates", own),)
