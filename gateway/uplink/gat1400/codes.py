"""What a view library's answers mean: HTTP statuses, and the StatusCode that each vehicle has for itself."""

import re

from gateway.contract import Stream
from gateway.uplink.answers import Verdict
from gateway.uplink.http import codes as http

OK, OTHER, BUSY, DEVICE_ERROR, INVALID_OPERATION = 0, 1, 2, 3, 4
JSON_FORMAT, JSON_CONTENT, REBOOTING = 7, 8, 9
UNAUTHORIZED, CONFLICT = 401, 409
# A StatusCode has one digit, an HTTP status three: one number is enough for both.
LARGEST_STATUS_CODE = 99
# An answer of 2xx that does not say what became of the vehicles.
UNSAID = 0x1400
# A passage that the standard has no words for.
UNTELLABLE = 0x1401

# GA/T 1400.4, as public implementations agree.
_MEANINGS = {
    OK: "OK",
    OTHER: "Other error",
    BUSY: "Device busy",
    DEVICE_ERROR: "Device error",
    INVALID_OPERATION: "Invalid operation",
    5: "Invalid XML format",
    6: "Invalid XML content",
    JSON_FORMAT: "Invalid JSON format",
    JSON_CONTENT: "Invalid JSON content",
    REBOOTING: "Rebooting",
    UNSAID: "No status",
    UNTELLABLE: "Cannot be told",
}
_NAMES = {UNSAID: "unsaid", UNTELLABLE: "untellable"}
_PASSING = frozenset({BUSY, DEVICE_ERROR, REBOOTING})
_AT_FAULT = frozenset({5, 6, JSON_FORMAT, JSON_CONTENT})
_FIX = {
    JSON_FORMAT: 'ask the platform\'s operator what it takes; numbers = "text" is what some want',
    JSON_CONTENT: "check device_id, tollgate_id and numbers in [uplink.gat1400], and ask what the platform takes",
    UNSAID: "nothing counts as delivered until it answers with a ResponseStatusObject for each; ask its operator",
    403: "let the platform's operator allow this device_id",
    404: "check url in [uplink.gat1400]: there is no /VIID/MotorVehicles",
    405: "check url in [uplink.gat1400]: /VIID/MotorVehicles takes no POST there",
}
_TWICE = re.compile(r"duplicat|already exist|重复|已存在|已经存在", re.IGNORECASE)


def verdict(code: int) -> Verdict | None:
    """Say what an HTTP status or a StatusCode means; None for one that may pass or not, and is tried a few times."""
    if code == UNSAID:
        return Verdict.HELD
    if code > LARGEST_STATUS_CODE:
        return http.verdict(code)
    if code == OK:
        return Verdict.TAKEN
    if code in _PASSING:
        return Verdict.LATER
    return Verdict.AT_FAULT if code in _AT_FAULT else None


def had_it(text: str) -> bool:
    """Whether a refusal says that the platform has this vehicle already: the standard has no code for it."""
    return _TWICE.search(text) is not None


def meaning(code: int) -> str:
    """Return the standard's name of a code."""
    if code in _MEANINGS:
        return _MEANINGS[code]
    return http.meaning(code) if code > LARGEST_STATUS_CODE else "Unknown status"


def sentence(code: int, what: str, text: str = "") -> str:
    """Say that the platform refuses ``what``, what it says, and what to do."""
    said = f' and says "{text}"' if text else ""
    if code == UNSAID:
        return f"the platform does not say what becomes of {what}{said}: {_FIX[UNSAID]}"
    if code > LARGEST_STATUS_CODE:
        if code not in _FIX:
            return http.sentence(code, what, text).replace("[uplink.http]", "[uplink.gat1400]")
        return f"the platform refuses {what} with {code} {meaning(code)}{said}: {_FIX[code]}"
    passing = "the trouble is at the platform; it is tried again"
    fix = _FIX.get(code, passing if verdict(code) is Verdict.LATER else "ask the platform's operator")
    return f"the platform refuses {what} with StatusCode {code} {meaning(code)}{said}: {fix}"


class ViewWords:
    """The codes of a view library, as notices ask for them."""

    too_large = http.TOO_LARGE
    silence = "the platform does not answer any more, though the connection stands"

    def verdict(self, code: int) -> Verdict:
        """Say what a code means."""
        return verdict(code) or Verdict.AT_FAULT

    def name(self, code: int) -> str:
        """Write the code as it stands in records and metrics: ``8`` is a StatusCode, ``503`` an HTTP status."""
        return _NAMES.get(code, str(code))

    def meaning(self, code: int) -> str:
        """Return the standard's name."""
        return meaning(code)

    def refusal(self, code: int, stream: Stream, text: str = "") -> str:
        """Say why vehicles are refused, and what to do."""
        return sentence(code, "vehicles", text)

    def taken_again(self, stream: Stream) -> str:
        """Say that this is over."""
        return "the platform takes vehicles again"
