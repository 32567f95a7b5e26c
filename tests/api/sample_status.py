"""A synthetic community for pictures of the status page: every part in several states, nobody's data."""

import struct
import zlib
from typing import Any

NOW = "2026-11-21T08:25:31.420+08:00"


def status() -> dict[str, Any]:
    """A status such as ``GET /v1/status`` answers, on a morning with one flooded sump and one dead meter."""
    return {
        "site": "滨江花园 · Riverside Garden, gate house",
        "contact": "Property desk +86-21-0000-0000",
        "time": NOW,
        "uptime_s": 1_567_320.0,
        "problems": [
            {
                "part": "device house-7-meter",
                "severity": "minor",
                "text": "device house-7-meter is offline: no answer within 500 ms, 14 times",
                "since": "2026-11-21T06:02:11.000+08:00",
                "fix": "check its power, its wiring (A and B swapped?), its address 17 and its speed; "
                "then try: linli read house-7-meter",
            },
        ],
        "devices": DEVICES,
        "cameras": CAMERAS,
        "lines": [
            _line("rs485-1", "serial", "/dev/serial/by-id/usb-FTDI_0421-if00", 0.412, 1_804_211, 37),
            _line("rs485-2", "serial", "/dev/serial/by-id/usb-FTDI_0422-if00", 0.037, 90_312, 2),
            _line("plant-room", "tcp", "192.168.10.20:502", 0.183, 9_404_113, 5),
        ],
        "alarms": ALARMS,
        "uplinks": [
            {
                "name": "mqtt",
                "url": "mqtts://broker.district.example:8883",
                "state": "online",
                "reason": "",
                "since": "2026-11-20T22:14:02.000+08:00",
                "in_flight": 12,
            }
        ],
        "streams": {
            "perception": {"first": 1, "last": 4_310_908, "unstored": 0},
            "management": {"first": 1, "last": 1_284, "unstored": 0},
            "alarm": {"first": 1, "last": 214, "unstored": 0},
            "disposal": {"first": 1, "last": 163, "unstored": 0},
        },
        "consumers": [
            _row("district-platform", "alarm", 0),
            _row("district-platform", "disposal", 0),
            _row("district-platform", "management", 0),
            _row("district-platform", "perception", 418),
            _row("alarm-desk", "alarm", 0),
            _row("mqtt", "alarm", 0),
            _row("mqtt", "disposal", 0),
            _row("mqtt", "management", 0),
            _row("mqtt", "perception", 37),
        ],
        "store": {
            "bytes": 1_310_000_000,
            "quota": 2_147_483_648,
            "media_bytes": 2_480_000_000,
            "media_quota": 8_589_934_592,
        },
    }


def _line(name: str, kind: str, address: str, busy: float, transactions: int, errors: int) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "address": address,
        "state": "open",
        "reason": "",
        "busy": busy,
        "transactions": transactions,
        "errors": errors,
    }


def _row(consumer: str, stream: str, lag: int) -> dict[str, Any]:
    return {"consumer": consumer, "stream": stream, "acked": f"k3f9.{stream}.1", "lag": lag, "required": True}


def _point(value: Any, unit: str = "", age: float = 0.8, quality: str = "good", **more: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "quality": quality, "time": NOW, "age_s": age, **more}


def _device(name: str, model: str, line: str, address: Any, state: str = "online", **last: Any) -> dict[str, Any]:
    return {
        "name": name,
        "model": model,
        "line": line,
        "address": address,
        "state": state,
        "reason": "" if state == "online" else "timeout",
        "sentence": "",
        "since": "2026-11-21T06:02:11.000+08:00",
        "last": {point.replace("_", "-"): value for point, value in last.items()},
        "polls": 4211,
        "errors": 0,
    }


DEVICES = [
    _device("sump-level", "QDY30A level sensor", "rs485-1", 3, level=_point(2.613, "m", 2.1)),
    _device(
        "pump-panel",
        "pump control cabinet",
        "plant-room",
        1,
        running=_point(True),
        motor_current=_point(11.4, "A"),
        discharge=_point(0.412, "MPa", 0.8, "uncertain"),
        runtime=_point(8123, "h"),
    ),
    _device(
        "house-4-meter",
        "Eastron SDM120",
        "rs485-1",
        12,
        voltage=_point(231.4, "V", 4.2),
        current=_point(4.87, "A", 4.2),
        power=_point(1104.2, "W", 4.2),
        energy=_point(18233.41, "kWh", 4.2),
        frequency=_point(49.98, "Hz", 4.2),
    ),
    _device(
        "house-7-meter",
        "Eastron SDM120",
        "rs485-1",
        17,
        state="offline",
        voltage=_point(None, "V", 8600, "bad", reason="timeout"),
        power=_point(None, "W", 8600, "bad", reason="timeout"),
        energy=_point(20114.02, "kWh", 8600),
    ),
    _device(
        "garage-air",
        "CO and temperature transmitter",
        "rs485-2",
        5,
        co=_point(6.2, "ppm", 3.3),
        temperature=_point(19.8, "°C", 3.3),
        humidity=_point(61, "%", 3.3),
    ),
    _device("siren", "relay board", "plant-room", 2, output=_point(False, "", 0.9)),
]


def _alarm(name: str, severity: str, state: str, zh: str, en: str, raised: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "active": state in ("unacknowledged", "acknowledged"),
        "occurrence": f"0197a3c2-{name}",
        "state": state,
        "severity": severity,
        "text": {"zh": zh, "en": en},
        "when": "",
        "points": {},
        "raised_at": raised,
        "acknowledged_at": None,
        "cleared_at": None,
        "by": None,
        "note": None,
        "blind": {},
        **more,
    }


ALARMS = [
    _alarm(
        "sump-high",
        "major",
        "unacknowledged",
        "集水井水位高",
        "Sump level high",
        "2026-11-21T08:21:07.120+08:00",
        points={"sump-level.level": {"value": 2.613, "unit": "m", "quality": "good"}},
    ),
    _alarm(
        "meter-silent",
        "warning",
        "acknowledged",
        "7号楼电表无数据",
        "House 7 meter is silent",
        "2026-11-21T06:07:11.000+08:00",
        by="duty desk",
    ),
    _alarm(
        "garage-co",
        "critical",
        "returned-unacknowledged",
        "地下车库一氧化碳超限",
        "Garage carbon monoxide high",
        "2026-11-21T07:48:30.000+08:00",
    ),
    _alarm("pump-dry", "major", "normal", "水泵空转", "Pump runs dry", "2026-11-01T07:48:30.000+08:00"),
]


def _passage(plate: str, color: str, direction: str, time: str, listed: str | None) -> dict[str, Any]:
    return {
        "time": f"2026-11-21T{time}+08:00",
        "lane": "main",
        "direction": direction,
        "plate": plate,
        "color": color,
        "status": "confirmed",
        "list": listed,
    }


def _fall(floor: int | None, interval: list[int] | None, column: int | None, time: str) -> dict[str, Any]:
    return {
        "time": f"2026-11-21T{time}+08:00",
        "floor": floor,
        "interval": interval,
        "column": column,
        "size_px": 6.1,
        "size_cm": 31.0 if floor else None,
        "impact_speed": 24.0 if floor else None,
        "confidence": 0.97,
        "test": False,
        "complete": floor is not None,
    }


CAMERAS = [
    {
        "name": "north-gate",
        "purpose": "vehicle gate",
        "url": "rtsp://camera-1.lan/stream1",
        "state": "online",
        "reason": "",
        "since": "2026-11-19T02:11:40.000+08:00",
        "frames": {"offered": 39_182_400, "looked": 1_204_882},
        "last_picture": None,
        "last_passages": [
            _passage("沪AD***5", "green", "in", "08:25:12.480", "allow"),
            _passage("苏E8***5", "blue", "out", "08:24:41.020", None),
            _passage("沪B3***0", "yellow", "in", "08:22:05.700", None),
            _passage("皖A19A29", "blue", "in", "08:19:33.160", "deny"),
        ],
    },
    {
        "name": "tower-3-east",
        "purpose": "falling objects",
        "url": "rtsp://camera-2.lan/stream1",
        "state": "degraded",
        "reason": "dark",
        "sentence": "the picture is too dark to see falling objects",
        "since": "2026-11-21T08:01:00.000+08:00",
        "frames": {"offered": 41_200_312, "looked": 41_200_312},
        "last_picture": None,
        "last_passages": [],
        "last_falls": [
            _fall(12, [11, 13], 3, "06:41:07.120"),
            _fall(None, None, None, "05:02:44.900"),
        ],
    },
]

EVENTS = {
    "alarm": [
        ("linli.alarm.raised.v1", "garage-co", "07:48:30", {"text": ALARMS[2]["text"]}),
        ("linli.alarm.cleared.v1", "garage-co", "07:55:02", {"text": ALARMS[2]["text"]}),
        ("linli.alarm.raised.v1", "sump-high", "08:21:07", {"text": ALARMS[0]["text"]}),
    ],
    "management": [
        ("linli.device.state.v1", "house-7-meter", "06:02:11", {"state": "offline", "reason": "timeout"}),
        ("linli.camera.state.v1", "tower-3-east", "08:01:00", {"state": "degraded", "reason": "dark"}),
    ],
    "disposal": [("linli.disposal.acknowledged.v1", "meter-silent", "06:15:40", {"by": "duty desk"})],
}


def readings(count: int = 60) -> list[dict[str, Any]]:
    """Readings of the last minutes, so that the page has something to draw."""
    import math

    records = []
    for step in range(count):
        time = f"2026-11-21T08:{20 + step // 12:02d}:{step % 12 * 5:02d}.000+08:00"
        wave = math.sin(step / 5)
        values = {
            "sump-level": {"level": 1.7 + 0.9 * step / count},
            "pump-panel": {"motor-current": 11 + wave, "discharge": 0.4 + 0.02 * math.cos(step / 3)},
            "house-4-meter": {"power": 1100 + 90 * wave + 40 * math.sin(step), "voltage": 231 + wave / 2},
            "garage-air": {"co": 6 + 2 * math.cos(step / 7), "temperature": 19.8 + 0.01 * step},
        }
        for device, points in values.items():
            shown = {point: {"value": value, "unit": "", "quality": "good"} for point, value in points.items()}
            records.append({"type": "linli.reading.v1", "subject": device, "time": time, "data": {"points": shown}})
    return records


def picture(width: int = 480, height: int = 300) -> bytes:
    """A drawn gate scene as PNG: sky, wall, road, barrier and a car."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            rows += bytes(_colour(x / width, y / height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 6)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def _colour(x: float, y: float) -> tuple[int, int, int]:
    if abs(x - 0.52) < 0.055 and 0.735 < y < 0.775:
        return 120, 205, 150
    if any((x - wheel) ** 2 * 2.56 + (y - 0.815) ** 2 < 0.0032 for wheel in (0.385, 0.655)):
        return 28, 30, 33
    if abs(x - 0.52) < 0.19 and 0.6 < y < 0.81:
        return 178, 188, 196 if y < 0.7 else 170
    if 0.46 < y < 0.6 and abs(x - 0.52) < 0.1 + (y - 0.46) * 0.35:
        return (72, 92, 104) if y > 0.48 and abs(abs(x - 0.52) - 0.035) > 0.006 else (178, 188, 196)
    if abs(y - 0.44 + (x - 0.1) * 0.02) < 0.012 and 0.1 < x < 0.95:
        return (214, 70, 60) if int(x * 14) % 2 else (240, 240, 236)
    if 0.06 < x < 0.1 and 0.36 < y < 0.72:
        return 230, 170, 50
    if y > 0.62:
        return (225, 225, 218) if abs(x - 0.5 - (y - 0.62) * 0.8) < 0.006 else (96, 101, 104)
    if y > 0.4:
        return 122, 140, 112
    if x > 0.7 and y > 0.12 and not (int(x * 40) % 3 == 0 and int(y * 30) % 2):
        return 196, 190, 178
    return int(168 + 60 * y), int(196 + 40 * y), int(218 + 20 * y)
