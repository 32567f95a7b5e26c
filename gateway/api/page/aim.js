// The live view for whoever turns a camera: pictures only while it is open and seen, what to change beside them.
import { bar, h } from "./dom.js";
import { clock, number, percent } from "./format.js";
import { word } from "./words.js";

const PAUSE = 250; // milliseconds between an answer and the next question
const AFTER_TROUBLE = 2500;
const ENOUGH = 100; // pixels of a plate's width
const SHARP = 0.12;

const panel = () => document.getElementById("aim");
let open = null;
let ask = null;
let picture = "";
let best = null;
let last = null;
let timer = 0;

// Opens the view of a camera; `fetcher` asks the gateway with the token.
export function openAim(camera, fetcher) {
  closeAim();
  open = camera;
  ask = fetcher;
  best = null;
  last = null;
  location.hash = `aim=${camera}`;
  draw();
  panel().hidden = false;
  panel().scrollIntoView({ block: "nearest" });
  next();
}

export function closeAim() {
  if (!open) return;
  open = null;
  clearTimeout(timer);
  panel().hidden = true;
  panel().replaceChildren();
  if (picture) URL.revokeObjectURL(picture);
  picture = "";
  history.replaceState(null, "", location.pathname);
}

export function aimed() {
  return open;
}

// The camera that the address names, if it names one.
export function wantedAim() {
  return new URLSearchParams(location.hash.slice(1)).get("aim");
}

async function next() {
  clearTimeout(timer);
  const camera = open;
  if (!camera) return;
  if (document.hidden) {
    timer = setTimeout(next, AFTER_TROUBLE);
    return;
  }
  let pause = PAUSE;
  try {
    const answer = await ask(`/v1/cameras/${camera}/live`);
    const findings = JSON.parse(answer.headers.get("linli-aim"));
    const address = URL.createObjectURL(await answer.blob());
    if (open !== camera) return URL.revokeObjectURL(address);
    if (picture) URL.revokeObjectURL(picture);
    picture = address;
    take(findings);
  } catch (error) {
    if (open !== camera) return;
    last = { ...(last ?? {}), trouble: error.status ? error.message : word("aimLost") };
    pause = AFTER_TROUBLE;
  }
  draw();
  timer = setTimeout(next, pause);
}

// A lane is empty most of the time: the widest plate so far is what counts.
function take(findings) {
  last = findings;
  for (const plate of findings.plates) if (!best || plate.width > best.width) best = plate;
}

export function draw() {
  if (!open) return;
  const title = h("h2", {}, word("aimTitle", open));
  const shut = h("button", { type: "button", class: "plain" }, word("close"));
  shut.addEventListener("click", closeAim);
  const head = h("div", { class: "head" }, title, h("span", { class: "aside" }, last?.time ? clock(last.time) : ""), shut);
  const shot = picture
    ? h("img", { src: picture, alt: word("aimPicture", open) })
    : h("span", {}, word("aimWaits"));
  const body = h(
    "div",
    { class: "aiming" },
    h("div", { class: "view" }, shot),
    h("div", { class: "judged" }, last?.trouble ? h("p", { class: "wrong" }, last.trouble) : null, verdict(), measures()),
  );
  panel().replaceChildren(head, body, h("p", { class: "note" }, word("aimPrivacy")));
}

function verdict() {
  if (!last?.advice) return null;
  const words = last.advice.filter((name) => name !== "none" || !best);
  const rows = words.map((name) =>
    h("li", { "data-level": name === "none" ? "warning" : "minor" }, h("b", {}, word(`aim.${name}`)), h("span", {}, word(`aim.${name}.do`))),
  );
  return rows.length ? h("ul", { class: "advice" }, rows) : h("p", { class: "calm" }, word("aimGood"));
}

function measures() {
  if (!last?.size) return null;
  const plate = last.plates[0] ?? best;
  const now = last.plates.length > 0;
  const width = plate ? `${number(Math.round(plate.width))} px` : "–";
  return h(
    "div",
    { class: "measures" },
    meter(now || !plate ? "aimPlate" : "aimPlateBefore", width, plate ? plate.width / (2 * ENOUGH) : 0, plate && plate.width < ENOUGH, word("aimNeed", ENOUGH)),
    meter("aimLight", number(last.middle), last.middle / 255, last.advice.includes("dark") || last.advice.includes("burnt"), word("aimShares", percent(last.dark), percent(last.burnt))),
    meter("aimSharp", number(last.sharpness), last.sharpness / (4 * SHARP), last.advice.includes("soft"), word("aimSharpNeed", number(SHARP))),
    plate ? meter("aimTilt", `${number(Math.abs(Math.round(plate.tilt)))}°`, Math.abs(plate.tilt) / 45, last.advice.includes("tilted"), word("aimTiltNeed")) : null,
    h("p", { class: "note subhead" }, word("aimSize", last.size[0], last.size[1])),
  );
}

function meter(name, figure, ratio, poor, note) {
  const label = h("div", { class: "label" }, h("b", {}, word(name)), h("span", { class: "figure" }, figure));
  return h("div", { class: "meter" }, label, bar(ratio, poor ? "minor" : undefined), h("p", { class: "note" }, note));
}
