"""What the platform's status codes mean for records, in words that a technician can act on."""

import math
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from gateway.contract import Stream
from gateway.uplink.answers import Verdict

# RFC 9110, 15; 425 is RFC 8470. A conflict means that the same batch is still being worked on.
PASSING = frozenset({408, 409, 425, 429})
BAD_REQUEST, TOO_LARGE, UNSUPPORTED_TYPE, UNPROCESSABLE = 400, 413, 415, 422
# A mistaken Retry-After must not silence a gateway for a year.
LONGEST_WAIT = 600.0

_FIX = {
    400: "the platform does not take the record's form; check its validation and pull the record",
    401: "check token_file, or user and password_file, in [uplink.http]",
    403: "allow this gateway at the platform, or check its token and client certificate",
    404: "check url in [uplink.http]: nothing takes records there",
    405: "check url in [uplink.http]: what is there takes no POST",
    409: "the platform is still at work on the same batch, or takes duplicates for a mistake: it should answer them "
    "with 2xx, their ids are the same; it is tried again",
    410: "the platform has given up this address; ask for the new one and put it into url in [uplink.http]",
    411: "a proxy in between cannot be used with url in [uplink.http]",
    413: "the record is larger than the platform takes; raise its limit and pull the record",
    415: 'the platform does not take the content type or encoding; write compress = "none", or let it take '
    "application/cloudevents-batch+json",
    422: "the platform does not take the record's content; check its validation and pull the record",
    429: "the platform asks for fewer requests; they are tried again later",
}


def verdict(code: int) -> Verdict:
    """Say what a status means for a batch."""
    if 200 <= code < 300:
        return Verdict.TAKEN
    if code in PASSING or 500 <= code < 600:
        return Verdict.LATER
    if code == TOO_LARGE:
        return Verdict.TOO_LARGE
    return Verdict.AT_FAULT if code in (BAD_REQUEST, UNPROCESSABLE) else Verdict.HELD


def meaning(code: int) -> str:
    """Return the standard's phrase of a status."""
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Unknown status"


def sentence(code: int, what: str, text: str = "") -> str:
    """Say that the platform refuses ``what``, what it says, and what to do."""
    said = f' and says "{text}"' if text else ""
    if 300 <= code < 400:
        fix = "redirects are not followed: put the final address into url in [uplink.http]"
    elif 500 <= code < 600 or code in PASSING:
        fix = _FIX.get(code, "the trouble is at the platform; it is tried again")
    else:
        fix = _FIX.get(code, "ask the platform's operator")
    return f"the platform refuses {what} with {code} {meaning(code)}{said}: {fix}"


def retry_after(value: str, date: str, wall: float) -> float:
    """Return the seconds that a Retry-After asks for (RFC 9110, 10.2.3), 0 when it says nothing that can be used.

    A time in it is compared with the platform's own ``date``, since our clock (``wall``, seconds) may be wrong.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_WAIT)
    until, now = _seconds(value), _seconds(date)
    wait = 0.0 if until is None else until - (wall if now is None else now)
    return min(max(0.0, wait), LONGEST_WAIT) if math.isfinite(wait) else 0.0


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, OverflowError):
        return None


class HttpWords:
    """The statuses of a POST, as the outbox asks for them."""

    too_large = TOO_LARGE
    silence = "the platform does not answer any more, though the connection stands"

    def verdict(self, code: int) -> Verdict:
        """Say what a status means."""
        return verdict(code)

    def name(self, code: int) -> str:
        """Write the status as it stands in records and metrics."""
        return str(code)

    def meaning(self, code: int) -> str:
        """Return the standard's phrase."""
        return meaning(code)

    def refusal(self, code: int, stream: Stream, text: str = "") -> str:
        """Say why a stream's records are refused, and what to do."""
        return sentence(code, f"records of {stream}", text)

    def taken_again(self, stream: Stream) -> str:
        """Say that this is over."""
        return f"the platform takes records of {stream} again"
