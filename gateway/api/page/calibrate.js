// Finds a facade in a camera's picture by four corners: with the mouse, a finger or the keyboard. Writes nothing.
import { h, svg } from "./dom.js";
import { CORNERS, floorView, plane, stand, STOREY, toml, wallTrouble } from "./facade.js";
import { number } from "./format.js";
import { word } from "./words.js";

const BESIDE = 0.08; // of the picture's longer side: corners may lie outside of it
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FAR = 10; // pixels of a step with Shift
const MOST_FLOORS = 200;
const MOST_COLUMNS = 100;
const STOREYS = [2, 6]; // metres

const panel = () => document.getElementById("calibrate");
let camera = null;
let ask = null;
let picture = "";
let size = null;
let trouble = "";
let corners = [];
let chosen = 0;
let floors = 0;
let columns = 1;
let storey = STOREY;
let parts = {};

// Opens it for a camera's row of the status; `fetcher` asks the gateway with the token.
export function openCalibrate(row, fetcher) {
  closeCalibrate();
  camera = row.name;
  ask = fetcher;
  const facade = row.falling?.facade;
  corners = facade ? [...facade.ground, ...facade.roof].map((place) => place.map(Math.round)) : CORNERS.map(() => null);
  chosen = Math.max(0, corners.indexOf(null));
  floors = facade?.floors ?? 0;
  columns = facade?.columns ?? 1;
  storey = facade?.storey ?? STOREY;
  size = null;
  trouble = "";
  location.hash = `calibrate=${camera}`;
  drawCalibrate();
  panel().hidden = false;
  panel().scrollIntoView({ block: "nearest" });
  load();
}

export function closeCalibrate() {
  if (!camera) return;
  camera = null;
  panel().hidden = true;
  panel().replaceChildren();
  if (picture) URL.revokeObjectURL(picture);
  picture = "";
  history.replaceState(null, "", location.pathname);
}

export function calibrated() {
  return camera;
}

// The camera that the address names, if it names one.
export function wantedCalibrate() {
  return new URLSearchParams(location.hash.slice(1)).get("calibrate");
}

async function load() {
  const wanted = camera;
  trouble = "";
  try {
    const answer = await ask(`/v1/cameras/${wanted}/live`);
    const findings = JSON.parse(answer.headers.get("linli-aim"));
    const address = URL.createObjectURL(await answer.blob());
    if (camera !== wanted) return URL.revokeObjectURL(address);
    if (picture) URL.revokeObjectURL(picture);
    picture = address;
    size = findings.size;
  } catch (error) {
    if (camera !== wanted) return;
    trouble = error.status ? error.message : word("aimLost");
  }
  drawCalibrate();
}

// Builds the whole panel: when it is opened, when there is a picture, and when the language changes.
export function drawCalibrate() {
  if (!camera) return;
  const again = button("calNew", load);
  const head = h("div", { class: "head" }, h("h2", {}, word("calTitle", camera)), again, button("close", closeCalibrate));
  parts = { view: h("div", { class: "facade" }), notes: h("p", { class: "wrong", role: "alert" }) };
  parts.rows = h("div", { class: "measures" });
  parts.toml = h("pre", { class: "toml", tabindex: "0", "aria-label": word("calToml") });
  parts.inputs = CORNERS.map((_, index) => [coordinate(index, 0), coordinate(index, 1)]);
  parts.names = CORNERS.map((name, index) => cornerButton(name, index));
  const form = h(
    "div",
    { class: "judged" },
    h("p", {}, word("calHow")),
    h("div", { class: "corners" }, CORNERS.map((_, index) => [parts.names[index], ...parts.inputs[index]])),
    h(
      "div",
      { class: "numbers" },
      field("calFloors", floors || "", 1, MOST_FLOORS, 1, (value) => (floors = value)),
      field("calColumns", columns, 1, MOST_COLUMNS, 1, (value) => (columns = value)),
      field("calStorey", storey, ...STOREYS, 0.1, (value) => (storey = value)),
    ),
    parts.notes,
    parts.toml,
    h("p", { class: "note" }, word("calPaste", camera)),
    parts.rows,
  );
  panel().replaceChildren(head, h("div", { class: "aiming" }, parts.view, form), h("p", { class: "note" }, word("calPrivacy")));
  drawPicture();
  refresh();
}

function button(name, work) {
  const made = h("button", { type: "button", class: "plain" }, word(name));
  made.addEventListener("click", work);
  return made;
}

function cornerButton(name, index) {
  const made = h("button", { type: "button", class: "plain" }, `${index + 1} ${word(name)}`);
  made.addEventListener("click", () => {
    chosen = index;
    refresh();
  });
  return made;
}

function coordinate(index, axis) {
  const name = `${word(CORNERS[index])} ${"xy"[axis]}`;
  const input = h("input", { type: "number", step: "1", "aria-label": name, placeholder: "xy"[axis] });
  input.addEventListener("input", () => {
    const values = parts.inputs[index].map((one) => (one.value === "" ? NaN : Math.round(Number(one.value))));
    corners[index] = values.every(Number.isFinite) ? values : null;
    chosen = index;
    refresh(input);
  });
  return input;
}

function field(name, value, least, most, step, take) {
  const input = h("input", { type: "number", min: least, max: most, step, value, id: `${name}-field` });
  input.addEventListener("input", () => {
    const given = Number(input.value);
    const whole = step === 1 ? Number.isInteger(given) : Number.isFinite(given);
    take(input.value !== "" && whole && given >= least && given <= most ? given : 0);
    refresh();
  });
  return h("label", { for: `${name}-field` }, h("span", {}, word(name)), input);
}

function drawPicture() {
  if (!size) {
    parts.view.replaceChildren(h("p", { class: trouble ? "wrong" : "waits" }, trouble || word("aimWaits")));
    return;
  }
  const [width, height] = size;
  const beside = Math.round(BESIDE * Math.max(width, height));
  const box = `${-beside} ${-beside} ${width + 2 * beside} ${height + 2 * beside}`;
  const shot = svg("image", { href: picture, x: 0, y: 0, width, height, preserveAspectRatio: "none" });
  parts.grid = svg("g", { class: "grid", "aria-hidden": "true" });
  parts.handles = svg("g", {});
  parts.svg = svg("svg", { viewBox: box, role: "group", "aria-label": word("calPicture", camera) }, shot, parts.grid, parts.handles);
  parts.svg.addEventListener("click", (event) => {
    const place = at(event);
    if (!place || event.target.closest("[data-corner]")) return;
    corners[chosen] = place;
    const next = corners.indexOf(null);
    if (next >= 0) chosen = next;
    refresh();
  });
  parts.view.replaceChildren(parts.svg, trouble ? h("p", { class: "wrong" }, trouble) : h("p", { class: "note" }, word("aimSize", width, height)));
}

// Where in the camera's picture something was pointed at, in whole pixels.
function at(event) {
  const matrix = parts.svg.getScreenCTM();
  if (!matrix) return null;
  const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
  return [Math.round(place.x), Math.round(place.y)];
}

// Shows what the corners and numbers say now; `typing` is the input that is being written in.
function refresh(typing) {
  CORNERS.forEach((_, index) => {
    parts.names[index].setAttribute("aria-pressed", String(index === chosen));
    [0, 1].forEach((axis) => {
      const input = parts.inputs[index][axis];
      if (input !== typing && !(corners[index] === null && typing && parts.inputs[index].includes(typing)))
        input.value = corners[index]?.[axis] ?? "";
    });
  });
  const whole = corners.every(Boolean);
  const wrong = whole ? wallTrouble(corners, floors) : "";
  const wall = whole && !wrong;
  const ready = wall && floors > 0 && columns > 0 && storey > 0;
  parts.notes.textContent = !whole ? "" : wrong ? word(wrong) : ready ? "" : word("calNumbers");
  parts.toml.textContent = ready ? toml(corners, floors, columns, storey) : word("calMissing");
  parts.toml.dataset.ready = ready;
  const place = wall && floors > 0 ? plane(corners, floors) : null;
  drawGrid(place);
  drawHandles();
  parts.rows.replaceChildren(...(ready && size ? floorRows(place) : []));
}

function drawGrid(place) {
  if (!size) return;
  const lines = [];
  const line = (from, to, kind) => svg("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], class: kind });
  if (place) {
    for (let floor = 0; floor <= floors; floor += 1) lines.push(line(place(0, floor), place(1, floor), floor % 5 ? "" : "fifth"));
    for (let column = 0; column <= columns && columns > 0; column += 1)
      lines.push(line(place(column / columns, 0), place(column / columns, floors), "side"));
    const tall = Math.max(...size) / 55;
    for (let floor = 1; floor <= floors; floor += 1) {
      if (floor !== 1 && floor !== floors && floor % 5) continue;
      const [x, y] = place(1.01, floor - 0.5);
      lines.push(svg("text", { x, y: y + tall / 3, "font-size": tall }, String(floor)));
    }
  }
  parts.grid.replaceChildren(...lines);
}

function drawHandles() {
  if (!size) return;
  const held = parts.handles.contains(document.activeElement) ? document.activeElement.dataset.corner : null;
  const radius = Math.max(...size) / 70;
  const made = corners.map((place, index) => (place ? handle(place, index, radius) : null)).filter(Boolean);
  parts.handles.replaceChildren(...made);
  if (held !== null) parts.handles.querySelector(`[data-corner="${held}"]`)?.focus();
}

function handle([x, y], index, radius) {
  const name = word("calHandle", word(CORNERS[index]), x, y);
  const made = svg(
    "g",
    { tabindex: "0", role: "button", "data-corner": index, "aria-label": name, "data-chosen": index === chosen ? "" : null },
    svg("circle", { cx: x, cy: y, r: radius }),
    svg("text", { x, y: y + radius / 2.6, "font-size": radius * 1.2, "text-anchor": "middle" }, String(index + 1)),
  );
  made.addEventListener("focus", () => {
    if (chosen === index) return;
    chosen = index;
    refresh();
  });
  made.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const far = event.shiftKey ? FAR : 1;
    corners[index] = [corners[index][0] + far * step[0], corners[index][1] + far * step[1]];
    refresh();
  });
  made.addEventListener("pointerdown", (event) => drag(event, index));
  return made;
}

function drag(event, index) {
  event.preventDefault();
  chosen = index;
  const move = (moved) => {
    const place = at(moved);
    if (!place) return;
    corners[index] = place;
    refresh();
  };
  const stop = () => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", stop);
    removeEventListener("pointercancel", stop);
    parts.handles?.querySelector(`[data-corner="${index}"]`)?.focus();
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", stop);
  addEventListener("pointercancel", stop);
}

// What can be seen of the floors, every fifth and the ends, as `linli camera report` says it.
function floorRows(place) {
  const from = stand(corners, floors, storey, size[1]);
  const views = Array.from({ length: floors }, (_, index) => ({ floor: index + 1, ...floorView(place, index + 1, storey, size, from) }));
  const shown = views.filter(({ floor }) => floor === 1 || floor === floors || floor % 5 === 0).reverse();
  const rows = shown.map(({ floor, smallest, seen }) =>
    h("li", {}, h("b", {}, word("calFloor", floor)), h("span", {}, seen < 0.9 ? word("calUnseen") : word("calSmallest", number(Math.round(smallest))))),
  );
  return [h("p", { class: "subhead" }, word("calSees")), h("ul", { class: "floors" }, rows)];
}
