// Draws cameras, link and backlog, store, lines and the latest events.
import { stateText, title } from "./board.js";
import { bar, h, show } from "./dom.js";
import { bytes, clock, count, maskedPlate, percent } from "./format.js";
import { word, worded } from "./words.js";

const STREAMS = ["alarm", "disposal", "management", "perception"];
const PASSAGES = 5;
const EVENTS = 9;

export function drawCameras(state, pictureOf, aim, calibrate) {
  const section = show(
    "cameras",
    title("cameras", state.cameras.length > 1 ? count(state.cameras.length) : ""),
    h("div", { class: "cameras" }, state.cameras.map((camera) => cameraCard(camera, state, pictureOf))),
  );
  section.hidden = state.cameras.length === 0;
  section.onclick = (event) => {
    const camera = event.target.closest("button[data-aim]")?.dataset.aim;
    if (camera) aim(camera);
    const facade = event.target.closest("button[data-facade]")?.dataset.facade;
    if (facade) calibrate(state.cameras.find((row) => row.name === facade));
  };
}

function cameraCard(camera, state, pictureOf) {
  const address = camera.last_picture ? pictureOf(camera.last_picture) : null;
  const shot = address
    ? h("img", { src: address, alt: word("picture", camera.name) })
    : h("span", {}, word("noPicture"));
  const frames = camera.frames ?? {};
  const passages = (camera.last_passages ?? []).slice(0, PASSAGES);
  const falls = (camera.last_falls ?? []).slice(0, PASSAGES);
  const about = [camera.purpose, word("frames", count(frames.offered), count(frames.looked))];
  return h(
    "article",
    { class: "camera" },
    h("div", { class: camera.falling ? "shot whole" : "shot" }, shot),
    h(
      "div",
      { class: "title" },
      h("h3", {}, camera.name),
      h("span", { class: "state", "data-state": camera.state, title: camera.text }, stateText(camera)),
      h(
        "div",
        { class: "buttons" },
        camera.falling ? h("button", { type: "button", class: "plain", "data-facade": camera.name }, word("calibrate")) : null,
        h("button", { type: "button", class: "plain", "data-aim": camera.name }, word("aim")),
      ),
      h("p", { class: "about" }, about.filter(Boolean).join(" · ")),
    ),
    passages.length
      ? h("ul", { class: "passages" }, passages.map((passage) => passageRow(passage, state)))
      : null,
    falls.length ? h("ul", { class: "passages" }, falls.map((fall) => fallRow(fall, state))) : null,
  );
}

// Where something fell from, and how large it was, as far as the facade's calibration tells it.
function fallRow(fall, state) {
  const [low, high] = fall.interval ?? [];
  const floor = low < high ? `${fall.floor} (${low}–${high})` : fall.floor;
  const size = fall.size_cm ? `${fall.size_cm} cm` : `${fall.size_px} px`;
  return h(
    "li",
    {},
    h("b", {}, fall.floor == null ? word("fell") : word("fellFrom", floor, fall.column)),
    h("span", { class: "way" }, size),
    fall.test ? h("span", { class: "tag" }, word("fellTest")) : null,
    fall.complete === false ? h("span", { class: "tag" }, word("fellCut")) : null,
    h("time", {}, clock(fall.time, state.time)),
  );
}

function passageRow(passage, state) {
  const listed = ["allow", "deny"].includes(passage.list) ? passage.list : null;
  const way = [word(passage.direction), passage.lane].filter(Boolean).join(" · ");
  return h(
    "li",
    {},
    h("span", { class: "plate", "data-colour": plateColour(passage) }, maskedPlate(passage.plate)),
    h("span", { class: "way" }, way),
    listed ? h("span", { class: "tag", "data-list": listed }, word(listed)) : null,
    h("time", {}, clock(passage.time, state.time)),
  );
}

function plateColour({ color, kind }) {
  return /large/.test(kind ?? "") && color === "green" ? "yellow-green" : color;
}

export function drawLink(state) {
  const uplinks = (state.uplinks ?? []).map((uplink) => {
    const working = uplink.state === "online";
    const notes = [uplink.url];
    if (uplink.in_flight) notes.push(word("inFlight", count(uplink.in_flight)));
    if (!working && uplink.since) notes.push(word("since", clock(uplink.since, state.time)));
    return h(
      "div",
      { class: "meter" },
      h(
        "div",
        { class: "label" },
        h("b", {}, uplink.name),
        h("span", { class: "state figure", "data-state": working ? "online" : "offline" }, stateText(uplink)),
      ),
      h("p", { class: "note" }, notes.filter(Boolean).join(" · ")),
    );
  });
  if (!uplinks.length) uplinks.push(h("p", { class: "muted" }, word("noUplinks")));
  show("link", title("link"), uplinks, state.consumers.length ? lagTable(state.consumers) : null);
}

function lagTable(rows) {
  const names = [...new Set(rows.map((row) => row.consumer))];
  const lag = (name, stream) => rows.find((row) => row.consumer === name && row.stream === stream)?.lag;
  const cell = (amount) =>
    amount === undefined
      ? h("td", { class: "zero" }, "·")
      : h("td", { class: amount ? null : "zero" }, count(amount));
  const head = [word("consumer"), ...STREAMS.map((stream) => word(stream))];
  return [
    h("p", { class: "subhead" }, word("backlog")),
    h(
      "table",
      { class: "lag" },
      h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
      h(
        "tbody",
        {},
        names.map((name) =>
          h("tr", {}, h("th", { scope: "row" }, name), STREAMS.map((stream) => cell(lag(name, stream)))),
        ),
      ),
    ),
  ];
}

export function drawStore(state) {
  const store = state.store ?? {};
  show(
    "store",
    title("store"),
    usage("records", store.bytes, store.quota),
    store.media_quota ? usage("media", store.media_bytes, store.media_quota) : null,
    h(
      "dl",
      { class: "facts subhead" },
      STREAMS.filter((stream) => state.streams?.[stream]).flatMap((stream) => {
        const { first, last, unstored } = state.streams[stream];
        const range = last ? `${count(first)} … ${count(last)}` : "—";
        return [h("dt", {}, word(stream)), h("dd", {}, store.failing && unstored ? `${range} · ${word("unstored", unstored)}` : range)];
      }),
    ),
  );
}

function usage(name, used, quota) {
  const ratio = quota ? used / quota : 0;
  return h(
    "div",
    { class: "meter" },
    h("div", { class: "label" }, h("b", {}, word(name)), h("span", { class: "figure" }, percent(ratio))),
    bar(ratio, ratio > 0.95 ? "major" : ratio > 0.85 ? "minor" : undefined),
    h("p", { class: "note" }, word("of", bytes(used), bytes(quota))),
  );
}

export function drawLines(state) {
  const section = show(
    "lines",
    title("lines"),
    state.lines.map((line) => {
      const busy = line.busy ?? 0;
      const broken = line.state !== "open" ? h("span", { class: "state", "data-state": line.state, title: line.sentence }, stateText(line)) : null;
      const note = [line.address, word("transactions", count(line.transactions), count(line.errors))];
      return h(
        "div",
        { class: "meter" },
        h("div", { class: "label" }, h("b", {}, line.name), broken, h("span", { class: "figure" }, word("busy", percent(busy)))),
        bar(busy, busy > 0.9 ? "minor" : undefined),
        h("p", { class: "note" }, note.filter(Boolean).join(" · ")),
      );
    }),
  );
  section.hidden = state.lines.length === 0;
}

export function drawEvents(records, state) {
  const newest = [...records].sort((one, other) => (one.time < other.time ? 1 : -1)).slice(0, EVENTS);
  const rows = newest.map((record) =>
    h(
      "li",
      {},
      h("time", {}, clock(record.time, state.time)),
      h(
        "span",
        { class: "what" },
        h("span", { class: "kind" }, `${word(record.type)} `),
        [record.subject, eventText(record)].filter(Boolean).join(" · "),
      ),
    ),
  );
  show("events", title("events"), rows.length ? h("ul", { class: "events" }, rows) : h("p", { class: "muted" }, word("noEvents")));
}

function eventText({ type, data = {} }) {
  if (type.startsWith("linli.alarm.")) return worded(data.text, "");
  if (type.startsWith("linli.disposal.")) return [data.by, data.note].filter(Boolean).join(", ");
  if (type === "linli.gap.v1") return `${count(data.count)} (${data.cause})`;
  const reason = data.reason === "ok" ? "" : data.reason;
  return [data.state ? word(data.state) : "", reason].filter(Boolean).join(", ");
}
