"""Media by SHA-256: whole, in ranges, conditionally, and only for those it concerns."""

import hashlib

import pytest
import pytest_asyncio

from tests.api.api_standins import ALARM_TOKEN, fetch
from tests.api.test_api_pull import is_problem

DATA = bytes(range(256)) * 4000
NAME = hashlib.sha256(DATA).hexdigest()
TARGET = f"/v1/media/{NAME}"
SIZE = len(DATA)


@pytest_asyncio.fixture
async def picture(served, tmp_path):
    path = tmp_path / f"{NAME}.jpg"
    path.write_bytes(DATA)
    served.store.files[NAME] = (path, "image/jpeg")
    return path


async def test_whole_file(served, picture):
    answer = await served.get(TARGET)
    assert answer.status == 200
    assert answer.body == DATA
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"{NAME}"'
    assert answer.headers["content-length"] == str(SIZE)


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=1000-", 1000, SIZE - 1),
        ("bytes=-5", SIZE - 5, SIZE - 1),
        (f"bytes=-{SIZE * 2}", 0, SIZE - 1),
        (f"bytes=5-{SIZE * 2}", 5, SIZE - 1),
        (f"BYTES=0-{SIZE - 1}", 0, SIZE - 1),
    ],
)
async def test_one_range(served, picture, header, first, last):
    answer = await served.get(TARGET, headers={"Range": header})
    assert answer.status == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.body == DATA[first : last + 1]


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
async def test_ranges_that_cannot_be(served, picture, header):
    answer = await served.get(TARGET, headers={"Range": header})
    is_problem(answer, 416)
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("header", ["bytes=5-4", "bytes=-", "bytes=a-b", "rows=0-1", "bytes=0-1,5-6", "", "bytes=٣-٤"])
async def test_ranges_that_are_none_are_ignored(served, picture, header):
    answer = await served.get(TARGET, headers={"Range": header.encode().decode("latin-1")})
    assert answer.status == 200
    assert len(answer.body) == SIZE


async def test_conditions(served, picture):
    tag = f'"{NAME}"'
    for value in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        unchanged = await served.get(TARGET, headers={"If-None-Match": value})
        assert (unchanged.status, unchanged.body) == (304, b"")
    assert (await served.get(TARGET, headers={"If-None-Match": '"x"'})).status == 200
    assert (await served.get(TARGET, headers={"Range": "bytes=0-1", "If-Range": tag})).status == 206
    assert (await served.get(TARGET, headers={"Range": "bytes=0-1", "If-Range": '"x"'})).status == 200


async def test_head_and_empty_files(served, tmp_path, picture):
    head = await served.get(TARGET, method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(SIZE))
    empty = tmp_path / "empty"
    empty.touch()
    served.store.files[NAME] = (empty, "image/jpeg")
    assert (await served.get(TARGET)).body == b""
    assert (await served.get(TARGET, headers={"Range": "bytes=0-"})).status == 416


async def test_what_is_not_there_is_404(served, picture):
    is_problem(await served.get("/v1/media/" + "0" * 64), 404)
    is_problem(await served.get(TARGET.upper().replace("/V1/MEDIA", "/v1/media")), 404)
    picture.unlink()
    is_problem(await served.get(TARGET), 404)


async def test_only_for_those_whom_pictures_concern(served, picture):
    assert (await served.get(TARGET, token=ALARM_TOKEN)).status == 200
    assert (await fetch(served.socket, TARGET, token=None)).status == 200
    is_problem(await served.get(TARGET, token=None), 401)


async def test_a_consumer_without_pictures_streams_gets_none(tmp_path):
    from tests.api.conftest import start

    token = "management-only"
    consumer = [
        {
            "name": "books",
            "token_sha256": hashlib.sha256(token.encode()).hexdigest(),
            "streams": ["management", "disposal"],
        }
    ]
    served = await start(tmp_path, consumer=consumer)
    is_problem(await served.get(TARGET, token=token), 403)
    await served.stop()
