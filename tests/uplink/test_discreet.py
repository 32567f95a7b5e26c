"""What a far end says stands in status and in records; its words never reach the log, nor do they make news."""

import json
import re
from pathlib import Path

import pytest

from gateway.uplink.dial import ConnectionFailedError
from gateway.uplink.http.codes import HttpWords
from gateway.uplink.reasons import MqttWords
from gateway.uplink.receipts import Receipts
from gateway.uplink.standing import Standing
from tests.conftest import FakeClock
from tests.uplink.fake_broker import FakeBroker, connack
from tests.uplink.http_platform import Asked, HttpPlatform, Reply
from tests.uplink.stand_in import MemoryStore
from tests.uplink.test_http_media import ShelfStore, media_uplink
from tests.uplink.test_http_push import platform, until
from tests.uplink.test_http_push import quick as quick_http
from tests.uplink.test_http_push import running as running_http
from tests.uplink.test_mqtt import make as make_mqtt
from tests.uplink.test_mqtt import running as running_mqtt

__all__ = ["platform", "quick_http"]

PLATE = "沪A12345"


@pytest.mark.parametrize(
    ("method", "status"), [("POST", 403), ("POST", 503), ("POST", 422), ("PUT", 403), ("PUT", 422)]
)
async def test_what_a_platform_says_is_not_logged(
    platform: HttpPlatform, quick_http: None, tmp_path: Path, caplog: pytest.LogCaptureFixture, method: str, status: int
) -> None:
    store = ShelfStore(tmp_path)
    refused: list[Asked] = []

    def judge(asked: Asked) -> Reply | None:
        if asked.method != method or (method == "POST" and asked.stream != "perception"):
            return None
        refused.append(asked)
        said = {"title": "no", "detail": f"vehicle {PLATE} is not known here, try {len(refused)}"}
        return Reply(status, {"Content-Type": "application/problem+json"}, json.dumps(said).encode())

    platform.judge = judge
    await store.see()
    shown: list[str] = []
    async with running_http(media_uplink(store, platform)) as uplink:

        def seen() -> bool:
            view = uplink.view()
            shown.append(str(view))
            return len(refused) > 3 or view["parked"] + view["media"]["parked"] > 0

        await until(seen)
    assert str(status) in caplog.text
    assert PLATE not in caplog.text
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(lines) == 1, "another word of the platform is no news"
    told = "".join(shown) + str(store.told("linli.uplink.refused.v1"))
    assert PLATE in told or (method, status) == ("POST", 422), "people can still read it, but not of a parked record"


def with_reason(body: bytes, text: str) -> bytes:
    """A CONNACK with a Reason String (MQTT 5.0, 3.2.2.3.9)."""
    word = text.encode()
    more = b"\x1f" + len(word).to_bytes(2, "big") + word
    flags, code, length, properties = body[0], body[1], body[2], body[3:]
    return bytes([flags, code, length + len(more)]) + properties + more


async def test_what_a_broker_says_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    async with FakeBroker() as fake:
        fake.connack = with_reason(connack(0x87), f"not you, {PLATE}")
        async with running_mqtt(make_mqtt(store, fake.url)) as uplink:
            await until(lambda: len(fake.connects) >= 2)
            assert PLATE in uplink.view()["reason"]
    assert "0x87 Not authorized" in caplog.text
    assert PLATE not in caplog.text


@pytest.mark.parametrize("words", [HttpWords(), MqttWords("gw")])
async def test_words_that_change_are_no_news(
    fake_clock: FakeClock, caplog: pytest.LogCaptureFixture, words: HttpWords | MqttWords
) -> None:
    store = MemoryStore()
    standing = Standing("way", words, store, fake_clock)
    for number in range(3):
        said = f"refused, request {number} of {PLATE}"
        await standing.down(ConnectionFailedError(f"no: {said}", 0x87, refused=True, discreet="no"))
        assert standing.reason == f"no: {said}", "status says what was said last"
    assert [record.getMessage() for record in caplog.records] == ["way: no"]
    assert len(store.told("linli.uplink.refused.v1")) == 1
    await standing.up("it serves us again")
    await standing.down(ConnectionFailedError("no: again", 0x87, refused=True, discreet="no"))
    assert len(store.told("linli.uplink.refused.v1")) == 2, "after it served us, it is news"


def test_what_a_false_acknowledgement_holds_is_not_logged(
    fake_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    receipts = Receipts("mqtt", lambda: "e1", lambda _stream, _sequence: True, fake_clock)
    receipts.take(json.dumps({"stream": PLATE, "cursor": "e1.alarm.1"}).encode())
    assert receipts.refused == 1
    assert re.search("malformed", caplog.text)
    assert PLATE not in caplog.text
