"""A view library of our own, written from the fact sheet on GA/T 1400: it checks every field, and misbehaves on demand.

It stands for a platform; no real one has been seen by these tests.
"""

import base64
import hashlib
import json
import re
import ssl
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.uplink.http_platform import Asked, HttpPlatform, Reply

GATEWAY, CAMERA, TOLLGATE = "31011500001200000001", "31011500001190000001", "31011500001210000001"
PASSWORD = "pässw0rd-7"
CONTENT_TYPE = "application/VIID+JSON;charset=utf-8"
COLOURS = {str(code) for code in (*range(1, 14), 99)}
PLATE_CLASSES = {f"{code:02d}" for code in (*range(1, 9), 13, 15, 16, 22, 23, 26, 27, 31, 32, 41, 51, 52, 99)}
IMAGE_TYPES = {f"{number:02d}" for number in (*range(1, 15), 100)}
NEEDED = {
    "MotorVehicleID", "InfoKind", "SourceID", "DeviceID", "StorageUrl1", "LeftTopX", "LeftTopY", "RightBtmX",
    "RightBtmY", "HasPlate", "PlateClass", "PlateColor", "PlateNo", "VehicleColor",
}  # fmt: skip
KNOWN = NEEDED | {
    "TollgateID", "PlateReliability", "PlateCharReliability", "VehicleClass", "Direction", "LaneNo", "PassTime",
    "SubImageList",
}  # fmt: skip
IMAGE_FIELDS = {
    "ImageID", "EventSort", "DeviceID", "StoragePath", "Type", "FileFormat", "ShotTime", "Width", "Height", "Data",
}  # fmt: skip
PLATE = re.compile(r"[\u4e00-\u9fff\-A-Z0-9]{7,8}")


class Wrong(Exception):  # noqa: N818
    """A field that is not as the standard has it."""


def need(good: bool, what: str) -> None:
    if not good:
        raise Wrong(what)


def is_time(text: object) -> bool:
    if not isinstance(text, str) or not re.fullmatch(r"\d{14}", text):
        return False
    datetime.strptime(text, "%Y%m%d%H%M%S")  # noqa: DTZ007 - the standard has no zones
    return True


class ViewLibrary:
    """Registers by digest, keeps every vehicle by its id, and answers each with a status of its own."""

    def __init__(self, tls: ssl.SSLContext | None = None, user: str = GATEWAY) -> None:
        self.http = HttpPlatform(tls)
        self.http.judge = self._judge
        self.user = user
        self.algorithm, self.qop, self.realm = "MD5", "auth", "viid"
        self.nonce_uses = 1  # of which a nonce is good; then it is stale
        self.nonces: dict[str, int] = {}
        self.registered = False
        self.registrations = self.unregistrations = self.keepalives = self.stale = 0
        self.ends_after: int | None = None  # calls after which the registration is forgotten
        self.numbers: type = int
        self.vehicles: dict[str, dict[str, Any]] = {}
        self.wrong: list[str] = []
        self.tries: dict[str, int] = {}
        # (id, how often it came) -> (StatusCode, StatusString); None: taken
        self.status: Callable[[dict[str, Any], int], tuple[int, str] | None] = lambda vehicle, tries: None
        self.before: Callable[[Asked], Reply | None] = lambda asked: None  # instead of the right answer
        self.after: Callable[[Asked, Reply], Reply] = lambda asked, reply: reply  # the answer, once it was made
        self.codes_as_text = False

    async def __aenter__(self) -> "ViewLibrary":
        await self.http.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.http.stop()

    @property
    def port(self) -> int:
        return self.http.port

    def asked(self, path: str) -> list[Asked]:
        return [asked for asked in self.http.asked if asked.target.endswith(path)]

    def serials(self) -> list[int]:
        """The serial of every vehicle that was taken: the sequences of their records."""
        return sorted(int(identity[36:41]) for identity in self.vehicles)

    # ------------------------------------------------------------------------------------------------ answering

    def _judge(self, asked: Asked) -> Reply:
        reply = self.before(asked)
        if reply is None:
            try:
                reply = self._answer(asked)
            except (Wrong, ValueError, KeyError, TypeError, AttributeError) as error:
                self.wrong.append(f"{asked.target}: {error!r}")
                reply = self._reply(asked, "", 8, str(error), status=400)
        return self.after(asked, reply)

    def _answer(self, asked: Asked) -> Reply:
        need(asked.method == "POST", "method")
        need(asked.headers.get("content-type") == CONTENT_TYPE, "content type")
        path = asked.target.removeprefix("/base")
        body = json.loads(asked.body)
        if path == "/VIID/System/Register":
            need("user-identify" not in asked.headers, "User-Identify at Register")
            need(body == {"RegisterObject": {"DeviceID": GATEWAY}}, "RegisterObject")
            challenge = self._challenge(asked)
            if challenge is None:
                self.registered, self.registrations = True, self.registrations + 1
            return challenge or self._reply(asked, GATEWAY)
        need(asked.headers.get("user-identify") == GATEWAY, "User-Identify")
        if path == "/VIID/System/UnRegister":
            need(body == {"UnRegisterObject": {"DeviceID": GATEWAY}}, "UnRegisterObject")
            challenge = self._challenge(asked)
            if challenge is None:
                self.registered, self.unregistrations = False, self.unregistrations + 1
            return challenge or self._reply(asked, GATEWAY)
        if self.ends_after is not None:
            self.ends_after -= 1
            if self.ends_after < 0:
                self.registered, self.ends_after = False, None
        if not self.registered:
            return Reply(401)
        if path == "/VIID/System/Keepalive":
            need(body == {"KeepaliveObject": {"DeviceID": GATEWAY}}, "KeepaliveObject")
            self.keepalives += 1
            return self._reply(asked, GATEWAY)
        need(path == "/VIID/MotorVehicles", f"path {path}")
        return self._vehicles(asked, body)

    def _reply(self, asked: Asked, identity: str, code: int = 0, text: str = "OK", status: int = 200) -> Reply:
        one = self._status(asked, identity, code, text)
        return Reply(status, {"Content-Type": "application/json"}, json.dumps({"ResponseStatusObject": one}).encode())

    def _status(self, asked: Asked, identity: str, code: int, text: str) -> dict[str, Any]:
        return {
            "Id": identity,
            "RequestURL": asked.target,
            "StatusCode": str(code) if self.codes_as_text else code,
            "StatusString": text,
            "LocalTime": "20261122080000",
        }

    def _vehicles(self, asked: Asked, body: Any) -> Reply:
        need(list(body) == ["MotorVehicleListObject"], "MotorVehicleListObject")
        vehicles = body["MotorVehicleListObject"]["MotorVehicleObject"]
        need(isinstance(vehicles, list) and len(vehicles) >= 1, "MotorVehicleObject")
        found = []
        for vehicle in vehicles:
            identity = vehicle["MotorVehicleID"]
            try:
                self._check(vehicle)
            except Wrong as error:
                self.wrong.append(f"{identity}: {error}")
                found.append(self._status(asked, identity, 8, str(error)))
                continue
            self.tries[identity] = self.tries.get(identity, 0) + 1
            refused = self.status(vehicle, self.tries[identity])
            if refused is None:
                known = self.vehicles.setdefault(identity, vehicle)
                if known != vehicle:
                    self.wrong.append(f"{identity} changed between two deliveries")
            found.append(self._status(asked, identity, *(refused or (0, "OK"))))
        answer = {"ResponseStatusListObject": {"ResponseStatusObject": found}}
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(answer, ensure_ascii=False).encode())

    # ------------------------------------------------------------------------------------------------ digest

    def _challenge(self, asked: Asked) -> Reply | None:
        """None when the proof is good."""
        given = asked.headers.get("authorization", "")
        stale = False
        if given:
            fields = {name: plain or quoted for name, quoted, plain in
                      re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', given.removeprefix("Digest "))}  # fmt: skip
            need(given.startswith("Digest "), "scheme")
            need(fields["uri"] == asked.target, "digest uri")
            count = int(fields.get("nc", "1"), 16)
            if self.nonces.get(fields["nonce"], 0) >= self.nonce_uses or fields["nonce"] not in self.nonces:
                stale = True
                self.stale += 1
            else:
                need(count == self.nonces[fields["nonce"]] + 1, "nonce count")
                self.nonces[fields["nonce"]] += 1
                if fields["username"] == self.user and fields["response"] == self._response(asked, fields):
                    return None
        nonce = hashlib.sha256(str(len(self.nonces)).encode()).hexdigest()[:20]
        self.nonces[nonce] = 0
        challenge = f'Digest realm="{self.realm}", nonce="{nonce}", opaque="op", algorithm={self.algorithm}'
        challenge += f', qop="{self.qop}"' if self.qop else ""
        challenge += ", stale=true" if stale else ""
        return Reply(401, {"WWW-Authenticate": challenge})

    def _response(self, asked: Asked, fields: dict[str, str]) -> str:
        hashed = hashlib.sha256 if self.algorithm.startswith("SHA-256") else hashlib.md5

        def digest(text: str) -> str:
            return hashed(text.encode()).hexdigest()

        secret = digest(f"{self.user}:{self.realm}:{PASSWORD}")
        if self.algorithm.endswith("-sess"):
            secret = digest(f"{secret}:{fields['nonce']}:{fields['cnonce']}")
        asked_for = f"POST:{asked.target}"
        if not self.qop:
            return digest(f"{secret}:{fields['nonce']}:{digest(asked_for)}")
        if self.qop == "auth-int":
            asked_for += f":{hashed(asked.body).hexdigest()}"
        need(fields["qop"] == self.qop, "qop")
        return digest(
            f"{secret}:{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:{fields['qop']}:{digest(asked_for)}"
        )

    # ------------------------------------------------------------------------------------------------ checking

    def _whole(self, value: object, least: int = 0) -> bool:
        """A whole number in the type that this platform wants."""
        if type(value) is not self.numbers:
            return False
        return str(value).isdigit() and int(str(value)) >= least

    def _check(self, vehicle: dict[str, Any]) -> None:
        need(set(vehicle) >= NEEDED, f"missing {NEEDED - set(vehicle)}")
        need(set(vehicle) <= KNOWN, f"unknown {set(vehicle) - KNOWN}")
        need(None not in vehicle.values(), "null")
        identity, source = vehicle["MotorVehicleID"], vehicle["SourceID"]
        need(re.fullmatch(r"\d{48}", identity) is not None, "MotorVehicleID")
        need(re.fullmatch(r"\d{41}", source) is not None, "SourceID")
        need(identity[:41] == source and identity[41:43] == "02", "MotorVehicleID is of the source, type 02")
        need(source[:20] == vehicle["DeviceID"] == CAMERA and source[20:22] == "02", "SourceID")
        need(is_time(source[22:36]), "time in SourceID")
        need(vehicle.get("TollgateID", TOLLGATE) == TOLLGATE, "TollgateID")
        need(self._whole(vehicle["InfoKind"]) and int(vehicle["InfoKind"]) == 1, "InfoKind")
        corners = [vehicle[name] for name in ("LeftTopX", "LeftTopY", "RightBtmX", "RightBtmY")]
        need(all(self._whole(corner) for corner in corners), "corners")
        need(vehicle["StorageUrl1"] == "", "StorageUrl1")
        need(vehicle["PlateColor"] in COLOURS and vehicle["VehicleColor"] in COLOURS, "colour")
        need(vehicle["PlateClass"] in PLATE_CLASSES, "PlateClass")
        need(vehicle["HasPlate"] in ("0", "1"), "HasPlate")
        self._check_plate(vehicle)
        need(is_time(vehicle["PassTime"]), "PassTime")
        need(vehicle.get("Direction", "1") in set("123456789"), "Direction")
        need("LaneNo" not in vehicle or self._whole(vehicle["LaneNo"], 1), "LaneNo")
        need(re.fullmatch(r"[A-Z]\d{2}", vehicle.get("VehicleClass", "X99")) is not None, "VehicleClass")
        if "SubImageList" in vehicle:
            need(list(vehicle["SubImageList"]) == ["SubImageInfoObject"], "SubImageList")
            (image,) = vehicle["SubImageList"]["SubImageInfoObject"]
            self._check_image(vehicle, image)

    def _check_plate(self, vehicle: dict[str, Any]) -> None:
        plate = vehicle["PlateNo"]
        if vehicle["HasPlate"] == "0":
            need(plate == "无车牌" and vehicle["PlateClass"] == "41", "no plate")
            need("PlateReliability" not in vehicle, "reliability of no plate")
            return
        need(PLATE.fullmatch(plate) is not None, f"PlateNo {plate}")
        need(vehicle["PlateReliability"] in {str(share) for share in range(101)}, "PlateReliability")
        shares = vehicle.get("PlateCharReliability")
        if shares is not None:
            pairs = [entry.split("-") for entry in shares.split(",")]
            need("".join(symbol for symbol, _ in pairs) == plate, "PlateCharReliability")
            need(all(0 <= int(share) <= 100 for _, share in pairs), "PlateCharReliability")

    def _check_image(self, vehicle: dict[str, Any], image: dict[str, Any]) -> None:
        need(set(image) == IMAGE_FIELDS, f"image {set(image) ^ IMAGE_FIELDS}")
        need(image["ImageID"] == vehicle["SourceID"], "ImageID")
        need(image["DeviceID"] == vehicle["DeviceID"], "image's DeviceID")
        need(image["Type"] in IMAGE_TYPES and image["FileFormat"] == "Jpeg", "Type")
        need(is_time(image["ShotTime"]) and image["ShotTime"] == vehicle["SourceID"][22:36], "ShotTime")
        need(self._whole(image["Width"], 1) and self._whole(image["Height"], 1), "size")
        need(self._whole(image["EventSort"]), "EventSort")
        data = base64.b64decode(image["Data"], validate=True)
        need(data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9", "Data is no whole JPEG")
        need((vehicle["RightBtmX"], vehicle["RightBtmY"]) == (image["Width"], image["Height"]), "box")
