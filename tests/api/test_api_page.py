"""The status page: its files, its policy, and what a browser really shows."""

import asyncio
import hashlib
import json
import re
import shutil
import struct
import zlib
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.contract import Record
from tests.api import sample_status
from tests.api.api_standins import TOKEN
from tests.api.conftest import start

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "gateway/api/page"


async def populate(served):
    """Fill the stand-ins with the synthetic community."""
    data = sample_status.picture()
    name = hashlib.sha256(data).hexdigest()
    path = served.socket.parent / f"{name}.png"
    path.write_bytes(data)
    served.store.files[name] = (path, "image/png")
    state = sample_status.status()
    state["cameras"] = [dict(camera) for camera in state["cameras"]]
    state["cameras"][0]["last_picture"] = name
    served.commands.answer = state
    for stream, events in sample_status.EVENTS.items():
        for sequence, (kind, subject, time, more) in enumerate(events, 1):
            event = {"type": kind, "subject": subject, "time": f"2026-11-21T{time}.000+08:00", "data": more}
            served.store.streams[stream].append(Record(sequence, json.dumps(event).encode()))
        state["streams"][stream]["last"] = len(events)
    readings = sample_status.readings()
    served.store.streams["perception"] = [Record(n, json.dumps(one).encode()) for n, one in enumerate(readings, 1)]
    state["streams"]["perception"]["last"] = len(readings)


@pytest_asyncio.fixture
async def shown(tmp_path):
    running = await start(tmp_path)
    await populate(running)
    yield running
    await running.stop()


async def browse(served, out, *options, token=TOKEN):
    """Run scripts/screenshot; returns what it printed. Skips loudly where there is no browser."""
    if shutil.which("chromium") is None and shutil.which("chromium-browser") is None:
        pytest.skip("chromium is not installed: the status page is NOT tested in a browser (apt-get install chromium)")
    command = [ROOT / "scripts/screenshot", f"http://{served.api.address}", token, out, *options]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode(errors="replace")[-2000:]
    return printed.decode()


def text_of(document):
    """The words that a person sees: no markup, white space folded."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style)[^>]*>.*?</\1>", "", document)))


async def test_every_file_of_the_page_is_served(served):
    names = {path.name for path in PAGE.iterdir()}
    for name in names:
        answer = await served.get(f"/page/{name}", token=None)
        assert answer.status == 200
        assert answer.body == (PAGE / name).read_bytes()
        again = await served.get(f"/page/{name}", token=None, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
    root = await served.get("/", token=None)
    assert root.body == (PAGE / "index.html").read_bytes()
    used = set(re.findall(r'/page/([\w.]+)"', root.body.decode()))
    for name in names:
        used |= set(re.findall(r'from "\./([\w.]+)"', (PAGE / name).read_text()))
    assert used | {"index.html"} == names


async def test_the_policy_lets_nothing_else_run(served):
    policy = (await served.get("/", token=None)).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in PAGE.iterdir():
        source = path.read_text()
        assert not re.search(r"\son\w+\s*=|style=|innerHTML|javascript:", source), path.name
        assert not re.search(r"(?<!www\.w3\.org/2000/svg)https?://(?!www\.w3\.org/2000/svg)", source), path.name


def test_every_word_has_both_languages_and_is_known():
    words = (PAGE / "words.js").read_text()
    pairs = re.findall(r'^  "?([\w.]+)"?: \["([^"]+)", "([^"]+)"\],$', words, re.MULTILINE)
    assert len(pairs) > 80
    assert len(pairs) == words.count("],\n")
    for name, english, chinese in pairs:
        assert set(re.findall(r"\{\d\}", english)) == set(re.findall(r"\{\d\}", chinese)), name
    known = {name for name, _, _ in pairs}
    for path in PAGE.glob("*.js"):
        for name in re.findall(r'(?:word|title|usage|tile)\("([\w.]+)"', path.read_text()):
            assert name in known, (path.name, name)


async def test_a_browser_shows_what_is_so(shown):
    text = text_of(await browse(shown, "-"))
    for expected in (
        "滨江花园 · Riverside Garden, gate house",
        "Property desk +86-21-0000-0000",
        "Sump level high",
        "not acknowledged · sump-level.level 2.613 m",
        "device house-7-meter is offline",
        "What to do:",
        "231.4 V",
        "bad (timeout) · 2 h 23 min ago",
        "stale",
        "uncertain",
        "沪AD***5",
        "418",
        "1.2 GiB of 2 GiB",
        "41% busy",
        "House 7 meter is silent",
        "raised sump-high",
        "floor 12 (11–13), column 3 31 cm",
        "something fell 6.1 px end not seen",
    ):
        assert expected in text, expected
    assert "no picture yet" in text  # of the second camera


async def test_a_browser_shows_it_in_chinese(shown):
    text = text_of(await browse(shown, "-", "--language", "zh-CN"))
    for expected in ("集水井水位高", "未确认", "需要处理", "设备", "离线", "2小时23分钟前"):
        assert expected in text, expected


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en-GB", ("Aim north-gate", "131 px", "The plate is tilted", "Level the camera", "1920 × 1080")),
        ("zh-CN", ("调整摄像机 north-gate", "131 px", "车牌倾斜过大", "1920 × 1080")),
    ],
)
async def test_a_browser_shows_the_live_view(shown, language, expected):
    asked, execute = [], shown.commands.execute

    async def with_a_camera(verb, arguments, actor):
        if verb != "peek":
            return await execute(verb, arguments, actor)
        asked.append(arguments["camera"])
        plate = {"width": 131.2, "tilt": 24.0, "sharpness": 0.6, "burnt": 0.0}
        findings = {"camera": "north-gate", "time": sample_status.NOW, "size": [1920, 1080], "plates": [plate]}
        findings |= {"middle": 104, "dark": 0.01, "burnt": 0.0, "sharpness": 0.21, "advice": ["tilted"]}
        return {**findings, "jpeg": sample_status.picture()}

    shown.commands.execute = with_a_camera
    document = await browse(shown, "-", "--language", language, token=f"{TOKEN}&aim=north-gate")
    for words in expected:
        assert words in text_of(document), words
    assert re.search(r'<div class="view"><img src="blob:', document)
    assert set(asked) == {"north-gate"}
    before = len(asked)
    await shown.get("/v1/status")
    assert len(asked) == before  # who does not look asks for no picture


async def test_a_browser_asks_for_a_token_and_says_when_it_is_wrong(shown):
    document = await browse(shown, "-", token="-")
    assert "Enter a consumer’s token" in text_of(document)
    assert "Sump level high" not in document
    document = await browse(shown, "-", token="wrong")
    assert "does not know this token" in text_of(document)


async def test_a_browser_says_when_the_gateway_is_gone(shown):
    status, looks, stops = shown.commands.status, [], []

    def once():
        looks.append(1)
        if len(looks) == 2:
            stops.append(asyncio.create_task(shown.stop()))
        return status()

    shown.commands.status = once
    document = await browse(shown, "-", "--wait", "15000")
    assert "The gateway does not answer since 08:25:31" in text_of(document)
    assert re.search(r'<body class="old"', document)
    assert "Sump level high" in document  # the last known state stays to be read
    await asyncio.gather(*stops)


async def test_names_from_outside_stay_text(shown):
    evil = '<img src=x onerror="document.title=1"><script>alert(1)</script>'
    shown.commands.answer = {**shown.commands.answer, "site": evil, "contact": evil}
    shown.commands.answer["devices"][0]["name"] = evil
    document = await browse(shown, "-")
    assert "<img src=x" not in document.replace("<title>", "")
    assert "&lt;img src=x" in document


@pytest.mark.parametrize("options", [("--size", "1280,1860"), ("--size", "500,2400", "--dark")])
async def test_a_picture_of_it_is_not_blank(shown, tmp_path, options):
    out = tmp_path / "status.png"
    await browse(shown, str(out), *options)
    size, colours = look(out.read_bytes())
    assert f"{size[0]},{size[1]}" == options[1]
    assert len(colours) > 300


def look(png):
    """Take a PNG apart: its size, and the set of its filtered pixel bytes in rows (many when there is much to see)."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    data, place = b"", 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    raw = zlib.decompress(data)
    stride = len(raw) // height
    return (width, height), {raw[start : start + stride] for start in range(0, len(raw), stride)}
