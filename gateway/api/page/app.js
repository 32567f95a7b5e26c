// The page's life: the token, a status every two seconds, pictures and records when there are new ones.
import { aimed, closeAim, draw as drawAim, openAim, wantedAim } from "./aim.js";
import { calibrated, closeCalibrate, drawCalibrate, openCalibrate, wantedCalibrate } from "./calibrate.js";
import { announceAlarms, drawAlarms, drawDevices, drawProblems, drawSummary } from "./board.js";
import { clock } from "./format.js";
import { forget, rememberRecord } from "./history.js";
import { drawCameras, drawEvents, drawLines, drawLink, drawStore } from "./side.js";
import { changeLanguage, language, word } from "./words.js";

const EVERY = 2000;
const PATIENCE = 8000;
const PRELOADED = 400;
const EVENT_STREAMS = ["alarm", "management", "disposal"];
const EVENTS_EACH = 10;

const place = (id) => document.getElementById(id);
const pictures = new Map();
const events = new Map();
let token = takeToken();
let state = null;
let answered = null;
let preloaded = false;
let timer = 0;
let asking = false;

// A token in the address (#token=…) is for this tab only and does not stay where others could read it.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    const [aim, facade] = [wantedAim(), wantedCalibrate()];
    const rest = aim ? `#aim=${aim}` : facade ? `#calibrate=${facade}` : "";
    history.replaceState(null, "", `${location.pathname}${rest}`);
  }
  return sessionStorage.getItem("token");
}

async function ask(target) {
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await fetch(target, { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(problem.detail ?? answer.statusText), { status: answer.status });
}

async function refresh() {
  clearTimeout(timer);
  if (!token) return openDoor("");
  if (asking) return;
  asking = true;
  try {
    state = await (await ask("/v1/status")).json();
    answered = state.time ?? new Date().toISOString();
    await loadRecords();
    loadPictures();
    pulse("live");
    draw();
    followAddress();
  } catch (error) {
    if (error.status === 401) return openDoor(word("wrongToken"));
    if (error.status === 429) return openDoor(word("slowed"));
    lose(error);
  } finally {
    asking = false;
  }
  timer = setTimeout(refresh, document.hidden ? 5 * EVERY : EVERY);
}

async function loadRecords() {
  for (const stream of EVENT_STREAMS) {
    const last = state.streams?.[stream]?.last ?? 0;
    if (events.get(stream)?.last !== last) events.set(stream, { last, records: await tail(stream, last, EVENTS_EACH) });
  }
  if (!preloaded) {
    preloaded = true;
    const last = state.streams?.perception?.last ?? 0;
    (await tail("perception", last, PRELOADED)).forEach(rememberRecord);
  }
}

// The last records of a stream; a token that may not have the stream simply sees none.
async function tail(stream, last, amount) {
  if (!last) return [];
  const after = `${state.epoch}.${stream}.${Math.max(0, last - amount)}`;
  try {
    return (await (await ask(`/v1/streams/${stream}/records?after=${after}&limit=${amount}`)).json()).records;
  } catch (error) {
    if (error.status === 403 || error.status === 410) return [];
    throw error;
  }
}

// Pictures need the token, so they are fetched and kept as object addresses, the unused ones given back.
function loadPictures() {
  const wanted = new Set(state.cameras.map((camera) => camera.last_picture).filter(Boolean));
  for (const [sha256, address] of pictures) {
    if (!wanted.has(sha256)) {
      if (address) URL.revokeObjectURL(address);
      pictures.delete(sha256);
    }
  }
  for (const sha256 of wanted) {
    if (pictures.has(sha256)) continue;
    pictures.set(sha256, null);
    ask(`/v1/media/${sha256}`)
      .then((answer) => answer.blob())
      .then((blob) => {
        pictures.set(sha256, URL.createObjectURL(blob));
        draw();
      })
      .catch(() => pictures.delete(sha256));
  }
}

function draw() {
  if (!state || !token) return;
  place("door").hidden = true;
  place("leave").hidden = false;
  place("board").hidden = false;
  place("site").textContent = state.site || state.gateway;
  place("identity").textContent = [state.site ? state.gateway : "", state.contact].filter(Boolean).join(" · ");
  const active = (state.alarms ?? []).filter((alarm) => alarm.active ?? /^(un)?acknowledged$/.test(alarm.state)).length;
  document.title = `${active ? `(${active}) ` : ""}${state.site || state.gateway} – Linli`;
  announceAlarms(state);
  drawSummary(state);
  drawProblems(state);
  drawAlarms(state);
  drawDevices(state);
  drawCameras(state, (sha256) => pictures.get(sha256), aimAt, calibrate);
  drawLink(state);
  drawStore(state);
  drawLines(state);
  drawEvents([...events.values()].flatMap((entry) => entry.records), state);
}

function pulse(mood) {
  place("pulse").dataset.state = mood;
  place("pulse").textContent = word({ live: "live", wait: "waiting", lost: "silent" }[mood]);
  if (mood === "live") {
    document.body.classList.remove("old");
    place("lost").hidden = true;
  }
}

function lose(error) {
  pulse("lost");
  document.body.classList.toggle("old", state !== null);
  place("lost").hidden = false;
  const since = answered ? clock(answered) : "–";
  place("lost").textContent = error.status ? word("troubled", error.message) : word("lost", since);
}

// One of the two is open at a time.
function aimAt(camera) {
  closeCalibrate();
  openAim(camera, ask);
}

function calibrate(row) {
  closeAim();
  openCalibrate(row, ask);
}

// #aim=CAMERA in the address opens that camera's live view, #calibrate=CAMERA its facade.
function followAddress() {
  const [aim, facade] = [wantedAim(), wantedCalibrate()];
  const row = state?.cameras.find((camera) => camera.name === (aim ?? facade));
  if (aim && aim !== aimed() && row) aimAt(aim);
  if (!aim && aimed()) closeAim();
  if (facade && facade !== calibrated() && row) calibrate(row);
  if (!facade && calibrated()) closeCalibrate();
}

function openDoor(reason) {
  closeAim();
  closeCalibrate();
  sessionStorage.removeItem("token");
  token = null;
  state = null;
  place("board").hidden = true;
  place("leave").hidden = true;
  place("lost").hidden = true;
  place("door").hidden = false;
  place("door-wrong").textContent = reason;
  place("token").value = "";
  place("token").focus();
}

function label() {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  const words = { language: "switch", leave: "leave", "door-title": "doorTitle", "door-text": "doorText" };
  Object.assign(words, { "door-label": "token", "door-open": "enter" });
  for (const [id, name] of Object.entries(words)) place(id).textContent = word(name);
  pulse(place("pulse").dataset.state);
}

place("door").addEventListener("submit", (event) => {
  event.preventDefault();
  token = place("token").value.trim();
  sessionStorage.setItem("token", token);
  preloaded = false;
  refresh();
});
place("language").addEventListener("click", () => {
  changeLanguage();
  label();
  draw();
  drawAim();
  drawCalibrate();
});
place("leave").addEventListener("click", () => {
  clearTimeout(timer);
  forget();
  events.clear();
  openDoor("");
});
window.addEventListener("hashchange", () => state && followAddress());
document.addEventListener("visibilitychange", () => document.hidden || refresh());
label();
refresh();
