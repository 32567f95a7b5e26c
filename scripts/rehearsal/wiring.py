"""The site that is rehearsed, as it is really wired: 40 devices of 15 models on three lines."""

from typing import NamedTuple

HEAD = """[gateway]
id = "rehearsal-0001"
site = "Garden Lane 12 (rehearsed)"
state = "state"

[store]
records = "64MiB"
media = "64MiB"

[api]
listen = "127.0.0.1:0"
"""
LINES = """
[[line]]
name = "riser"
serial = "/dev/serial/by-id/usb-FTDI_0421-if00"
baud = 9600

[[line]]
name = "meters"
serial = "/dev/serial/by-id/usb-FTDI_0422-if00"
baud = 2400
format = "8E1"

[[line]]
name = "plant-room"
tcp = "127.0.0.1:5502"
"""


class Wired(NamedTuple):
    """One device as it hangs on the wall."""

    name: str
    line: str
    profile: str
    address: str


def wired() -> list[Wired]:
    """All of them."""
    riser = ("qdy30a", "xy-md02", "jxbs-3001-air", "jxbs-rainfall", "jxbs-wind-speed", "pzem-004t", "dry-contact-8",
             "renke-rs-ws-n01", "chint-dtsu666", "acrel-adw300", "level-gauge-rs485", "xkc-y25",
             "jxbs-3001-co")  # fmt: skip
    meters = [
        ("dlt645-2007-single-phase", f"2023123456{end}") for end in ("01", "17", "42", "58", "63", "77", "84", "91")
    ]
    meters += [("cjt188-water", "00112023001234"), ("mbus-heat-meter", "20451187"), ("mbus-water-meter", "20459903")]
    plant = [*["eastron-sdm120"] * 5, *["eastron-sdm630"] * 2, *["dry-contact-16"] * 2, *["xy-md02"] * 3,
             *["chint-dtsu666"] * 2, *["qdy30a"] * 2]  # fmt: skip
    places = [("riser", profile, str(number)) for number, profile in enumerate(riser, 3)]
    places += [("meters", profile, address) for profile, address in meters]
    places += [("plant-room", profile, str(number)) for number, profile in enumerate(plant, 1)]
    return [Wired(f"w{number:02d}-{place[1]}", *place) for number, place in enumerate(places, 1)]


def configuration() -> str:
    """The configuration that `linli simulate` serves."""
    text = HEAD + LINES
    for device in wired():
        address = device.address if device.line != "meters" else f'"{device.address}"'
        text += f'\n[[device]]\nname = "{device.name}"\nprofile = "{device.profile}"\nline = "{device.line}"\n'
        text += f"address = {address}\n"
        if device.line == "riser":
            text += 'serial = { baud = 9600, format = "8N1" }\n'
    return text
