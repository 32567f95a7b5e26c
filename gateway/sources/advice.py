"""What a technician can do about a device, by the short code of what is wrong with it."""

from __future__ import annotations

from gateway.contract import DeviceError

# A gateway that answers for its silent device costs the line as much as silence.
SILENT = frozenset({"timeout", "gateway_target"})
ADVICE = {
    "timeout": "check its power, wiring, address, speed and format",
    "gateway_target": "the gateway reaches it no more: check its power, wiring and address",
    "gateway_path": "check the gateway's own configuration",
    "crc": "check wiring, termination and earth",
    "damaged": "check wiring, speed, format and framing",
    "cut": "raise its timeout, or the packet interval of the serial server",
    "busy": "poll it less often",
    "illegal_function": "check the points' tables (holding, input, coil, discrete)",
    "illegal_address": "check the points' addresses",
    "illegal_value": "lower max_read",
    "no_such_data": "the device has no such value: check the point's place, or leave the point out",
    "refused": "see the device's manual for what it asks before",
}
WITHOUT_VALUE = "check that its sensor is connected and sound, and that the profile fits this device"


def with_advice(error: DeviceError) -> str:
    """The sentence of an error with what to do, unless it says so itself."""
    advice = ADVICE.get(error.reason, "check that the profile fits the device")
    return f"{error}; {advice}" if advice.split(":")[0] not in str(error) else str(error)
