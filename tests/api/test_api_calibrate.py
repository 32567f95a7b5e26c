"""The facade on the status page: from clicks and keys to the lines of the configuration, in a real browser."""

import asyncio
import http.server
import json
import re
import shutil
import threading
from pathlib import Path

import pytest
import pytest_asyncio

from tests.api import sample_status
from tests.api.api_standins import TOKEN
from tests.api.conftest import start
from tests.api.test_api_page import browse, populate, text_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "gateway/api/page"
SIZE = [1080, 1920]
CORNERS = {"ground": [[410, 1890], [700, 1890]], "roof": [[430, 40], [690, 44]]}
FACADE = {**CORNERS, "floors": 33, "columns": 6, "storey": 3.2}
TOML = (
    "facade = { floors = 33, ground = [[410, 1890], [700, 1890]], roof = [[430, 40], [690, 44]], "
    "columns = 6, storey = 3.2 }"
)

# Clicks three corners, types all four as they are, moves one with the keys, and writes down what the panel says.
HAND = """<!doctype html><html lang="en"><meta charset="utf-8"><section id="calibrate" hidden></section>
<pre id="told"></pre><script type="module">
import { drawCalibrate, openCalibrate } from "/page/calibrate.js";
import { floorView, plane, stand } from "/page/facade.js";
import { changeLanguage } from "/page/words.js";
const panel = document.getElementById("calibrate");
const headers = { "linli-aim": JSON.stringify({ size: [1080, 1920] }) };
openCalibrate({ name: "tower", falling: { facade: null } }, async () => new Response("", { headers }));
while (!panel.querySelector("svg")) await new Promise((done) => setTimeout(done, 20));
const told = { empty: panel.querySelector(".toml").textContent };
const click = (x, y) => {
  const board = panel.querySelector("svg");
  const place = new DOMPoint(x, y).matrixTransform(board.getScreenCTM());
  board.dispatchEvent(new MouseEvent("click", { clientX: place.x, clientY: place.y, bubbles: true }));
};
const type = (input, value) => {
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
};
const key = (corner, name, shiftKey) =>
  panel.querySelector(`[data-corner="${corner}"]`).dispatchEvent(new KeyboardEvent("keydown", { key: name, shiftKey }));
click(410, 1890);
click(700, 1890);
click(440, 42);
told.three = panel.querySelectorAll("[data-corner]").length;
const inputs = [...panel.querySelectorAll(".corners input")];
told.clicked = inputs.slice(0, 6).map((input) => Number(input.value));
[410, 1890, 700, 1890, 440, 42, 690, 44].forEach((value, index) => type(inputs[index], String(value)));
type(document.getElementById("calFloors-field"), "0");
told.noFloors = panel.querySelector("[role=alert]").textContent;
type(document.getElementById("calFloors-field"), "33");
type(document.getElementById("calColumns-field"), "6");
type(document.getElementById("calStorey-field"), "7");
told.noStorey = panel.querySelector(".toml").dataset.ready;
type(document.getElementById("calStorey-field"), "3.2");
panel.querySelector('[data-corner="2"]').focus();
key(2, "ArrowLeft", true);
told.focused = document.activeElement.dataset.corner;
key(2, "ArrowUp", false);
key(2, "ArrowUp", false);
told.label = panel.querySelector('[data-corner="2"]').getAttribute("aria-label");
told.toml = panel.querySelector(".toml").textContent;
const ends = (line) => ["x1", "y1", "x2", "y2"].map((name) => Number(line.getAttribute(name)));
told.lines = [...panel.querySelectorAll(".grid line")].map(ends);
told.rows = [...panel.querySelectorAll(".floors li")].map((row) => row.textContent);
const twice = [[820, 3780], [1400, 3780], [860, 80], [1380, 88]];
told.larger = floorView(plane(twice, 33), 33, 3.2, [2160, 3840], stand(twice, 33, 3.2, 3840)).smallest;
const refusal = (values) => {
  values.forEach((value, index) => type(inputs[index], String(value)));
  return [panel.querySelector("[role=alert]").textContent, panel.querySelector(".toml").dataset.ready];
};
told.upsideDown = refusal([690, 44, 430, 40, 700, 1890, 410, 1890]);
told.small = refusal([410, 60, 700, 60, 410, 1, 700, 1]);
told.narrow = refusal([410, 1890, 414, 1890, 410, 40, 414, 40]);
refusal([410, 1890, 700, 1890, 430, 40, 690, 44]);
type(inputs[0], "900");
told.crossed = [panel.querySelector("[role=alert]").textContent, panel.querySelector(".toml").dataset.ready];
changeLanguage();
drawCalibrate();
told.chinese = panel.textContent;
openCalibrate({ name: "dark" }, async () => {
  throw Object.assign(new Error("camera dark gives no picture now"), { status: 409 });
});
while (!panel.querySelector(".facade .wrong")) await new Promise((done) => setTimeout(done, 20));
told.trouble = panel.querySelector(".facade").textContent;
document.getElementById("told").textContent = JSON.stringify(told);
</script></html>"""


class Pages(http.server.BaseHTTPRequestHandler):
    """The page's own files, and the hand that uses them."""

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        body = (PAGE / name).read_bytes() if self.path.startswith("/page/") else HAND.encode()
        self.send_response(200)
        self.send_header("content-type", "text/javascript" if name.endswith(".js") else "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest_asyncio.fixture
async def shown(tmp_path):
    running = await start(tmp_path)
    await populate(running)
    row = {**running.commands.answer["cameras"][0], "name": "tower", "falling": {"facade": FACADE}}
    running.commands.answer["cameras"] = [row, *running.commands.answer["cameras"][1:]]
    execute, asked = running.commands.execute, []

    async def with_a_camera(verb, arguments, actor):
        if verb != "peek":
            return await execute(verb, arguments, actor)
        asked.append(arguments["camera"])
        findings = {"camera": "tower", "time": sample_status.NOW, "size": SIZE, "plates": [], "advice": []}
        return {**findings, "jpeg": sample_status.picture()}

    running.commands.execute = with_a_camera
    yield running, asked
    await running.stop()


async def test_the_configured_facade_is_drawn_over_one_picture(shown):
    running, asked = shown
    document = await browse(running, "-", token=f"{TOKEN}&calibrate=tower")
    text = text_of(document)
    for words in ("Facade of tower", "1 ground left", "Storey height, m", "Floor 33", "1080 × 1920", TOML):
        assert words in text, words
    assert re.search(r'<image href="blob:', document)
    assert document.count("<line ") == 34 + 7
    assert asked == ["tower"]  # one picture, until another one is wanted


async def test_corners_are_clicked_typed_and_moved_by_keys(tmp_path):
    if shutil.which("chromium") is None and shutil.which("chromium-browser") is None:
        pytest.skip("chromium is not installed: the facade is NOT tested in a browser (apt-get install chromium)")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        command = [ROOT / "scripts/screenshot", f"http://127.0.0.1:{server.server_port}", "-", "-"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        printed, _ = await process.communicate()
    finally:
        server.shutdown()
        server.server_close()
    told = json.loads(re.search(r'<pre id="told">(.*?)</pre>', printed.decode(), re.DOTALL)[1])
    assert told["three"] == 3
    assert told["clicked"] == pytest.approx([410, 1890, 700, 1890, 440, 42], abs=5)  # a pixel of the screen is several
    assert "Four corners" in told["empty"]
    assert "whole number" in told["noFloors"]
    assert told["focused"] == "2"
    assert told["label"].startswith("roof left: 430, 40;")
    assert told["noStorey"] == "false"
    assert told["toml"] == f"[camera.falling]\n{TOML}"
    assert told["crossed"][1] == "false"
    assert "span no wall" in told["crossed"][0]
    assert "on its side or its head" in told["upsideDown"][0]
    assert all("too small in the picture" in told[how][0] for how in ("small", "narrow"))
    assert {told[how][1] for how in ("upsideDown", "small", "narrow")} == {"false"}
    assert told["rows"][0].startswith("Floor 33")
    assert told["rows"][-1].startswith("Floor 1")
    for words in ("标定 tower 的外墙", "1 底部左角", "层高（米）", "四角不构成墙面"):
        assert words in told["chinese"]
    assert told["trouble"] == "camera dark gives no picture now"
    the_same_as_the_gateway(told)


def the_same_as_the_gateway(told):
    """The page's floors and sizes are those of the detector's own plane."""
    pytest.importorskip("cv2", reason="the extra `vision` is not installed")
    from gateway.settings.camera import FacadeSettings
    from gateway.vision.falling.facade import Facade
    from gateway.vision.falling.geometry import facade_toml, facade_view

    settings = FacadeSettings.model_validate(FACADE)
    assert facade_toml(settings) == TOML
    facade = Facade(settings, SIZE[1])
    ends = [facade.in_picture([(0, floor), (1, floor)]).ravel() for floor in range(34)]
    ends += [facade.in_picture([(column / 6, 0), (column / 6, 33)]).ravel() for column in range(7)]
    assert [list(map(float, line)) for line in told["lines"]] == [pytest.approx(list(line), abs=0.05) for line in ends]
    views = facade_view(settings, *SIZE).floors
    wanted = [
        f"Floor {view.floor}{view.smallest_cm:.0f} cm" for view in views if view.floor in (1, 33) or view.floor % 5 == 0
    ]
    assert told["rows"] == wanted[::-1]
    twice = {"ground": [[820, 3780], [1400, 3780]], "roof": [[860, 80], [1380, 88]], "floors": 33, "storey": 3.2}
    larger = facade_view(FacadeSettings.model_validate(twice), 2160, 3840).floors[-1]
    assert told["larger"] == pytest.approx(larger.smallest_cm, rel=1e-3)
    assert larger.smallest_cm == pytest.approx(views[-1].smallest_cm, rel=1e-3)
