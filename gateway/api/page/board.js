// Draws summary, problems, alarms and devices from one status.
import { h, show } from "./dom.js";
import { ago, clock, count, number, percent, span } from "./format.js";
import { remember, sparkline } from "./history.js";
import { word, worded } from "./words.js";

const LEVELS = ["critical", "major", "minor", "warning"];
const STALE_SECONDS = 600;

const title = (name, aside) =>
  h("div", { class: "head" }, h("h2", {}, word(name)), aside ? h("span", { class: "aside" }, aside) : null);

const isActive = (alarm) => alarm.state === "unacknowledged" || alarm.state === "acknowledged";
const isOver = (alarm) => alarm.state === "returned-unacknowledged";
const worst = (rows) => LEVELS.find((level) => rows.some((row) => row.severity === level));

export { title };

export function drawSummary(state) {
  const alarms = state.alarms ?? [];
  const active = alarms.filter(isActive);
  const open = alarms.filter((alarm) => alarm.state === "unacknowledged").length;
  const down = state.devices.filter((device) => device.state !== "online").length;
  const blind = state.cameras.filter((camera) => !["online", "ended"].includes(camera.state)).length;
  const lags = new Map();
  for (const row of state.consumers) lags.set(row.consumer, (lags.get(row.consumer) ?? 0) + row.lag);
  const [slowest, lag] = [...lags].sort((one, other) => other[1] - one[1])[0] ?? [null, 0];
  const store = state.store ?? {};
  const used = store.quota ? store.bytes / store.quota : 0;
  const tiles = [
    tile("alarmsActive", count(active.length), active.length && open ? word("unacknowledgedCount", open) : "", {
      level: worst(active) ?? "good",
    }),
    tile("problemsTile", count(state.problems.length), state.problems.length ? "" : word("allWell"), {
      level: state.problems.length ? (worst(state.problems) ?? "major") : "good",
    }),
    state.devices.length && tile("devices", online(state.devices), word(down ? "notOnline" : "allOnline", down)),
    state.cameras.length && tile("cameras", online(state.cameras), word(blind ? "notOnline" : "allOnline", blind)),
    tile("backlog", count(lag), lag ? word("largestLag", slowest) : word(lags.size ? "nothingWaits" : "noConsumers")),
    tile("full", percent(used), "", { level: used > 0.95 ? "major" : used > 0.85 ? "minor" : undefined }),
    tile("uptime", span(state.uptime_s), word("version", state.version)),
  ];
  show("summary", tiles);
}

function online(rows) {
  const good = rows.filter((row) => row.state === "online").length;
  return [count(good), h("small", {}, ` / ${count(rows.length)}`)];
}

function tile(name, figure, note, { level } = {}) {
  return h(
    "div",
    { class: "tile", "data-level": level },
    h("span", { class: "name" }, word(name)),
    h("span", { class: "figure" }, figure),
    h("span", { class: "note" }, note),
  );
}

export function drawProblems(state) {
  const section = show(
    "problems",
    title("problems"),
    h(
      "ul",
      { class: "rows" },
      state.problems.map((problem) => {
        const { severity, text, since, fix } = typeof problem === "string" ? { text: problem } : problem;
        return h(
          "li",
          { class: "flag", "data-level": severity ?? "major" },
          h("span", { class: "pill" }, word(severity ?? "major")),
          h("span", { class: "text" }, text),
          h("span", { class: "since" }, since ? word("since", clock(since, state.time)) : ""),
          fix ? h("span", { class: "more" }, h("b", {}, word("doThis")), ` ${fix}`) : null,
        );
      }),
    ),
  );
  section.hidden = state.problems.length === 0;
  section.dataset.level = worst(state.problems) ?? "";
  section.classList.toggle("some", state.problems.length > 0);
}

export function drawAlarms(state) {
  const alarms = state.alarms ?? [];
  const bySeverity = (one, other) => LEVELS.indexOf(one.severity) - LEVELS.indexOf(other.severity);
  const shown = [...alarms.filter(isActive).sort(bySeverity), ...alarms.filter(isOver).sort(bySeverity)];
  const body = shown.length
    ? h("ul", { class: "rows" }, shown.map((alarm) => alarmRow(alarm, state)))
    : h("p", { class: "calm" }, word("noAlarms"));
  const section = show("alarms", title("alarms", word("watched", count(alarms.length))), body);
  section.dataset.level = worst(shown.filter(isActive)) ?? "";
  section.classList.toggle("some", shown.some(isActive));
  section.hidden = alarms.length === 0;
}

function alarmRow(alarm, state) {
  const points = Object.entries(alarm.points ?? {}).map(([name, shown]) => {
    const value = shown?.value === null || shown?.value === undefined ? word(shown?.quality ?? "bad") : number(shown.value);
    return `${name} ${value} ${shown?.unit ?? ""}`.trim();
  });
  const stand = isOver(alarm)
    ? word("returned")
    : alarm.state === "acknowledged"
      ? word("acknowledged", alarm.by ?? "?")
      : word("unacknowledged");
  return h(
    "li",
    { class: isOver(alarm) ? "flag returned" : "flag", "data-level": alarm.severity },
    h("span", { class: "pill" }, word(alarm.severity)),
    h("span", { class: "text" }, worded(alarm.text, alarm.name)),
    h("span", { class: "since" }, word("since", clock(alarm.raised_at, state.time))),
    h("span", { class: "more" }, [alarm.name, stand, ...points].join(" · ")),
  );
}

let before = null;

// Says through the live region what became of alarms since the last look; silent at the first.
export function announceAlarms(state) {
  const active = new Map((state.alarms ?? []).filter(isActive).map((alarm) => [alarm.occurrence ?? alarm.name, alarm]));
  if (before !== null) {
    const told = [];
    for (const [key, alarm] of active) {
      if (!before.has(key)) told.push(word("newAlarm", `${word(alarm.severity)}, ${worded(alarm.text, alarm.name)}`));
    }
    for (const [key, alarm] of before) {
      if (!active.has(key)) told.push(word("overAlarm", worded(alarm.text, alarm.name)));
    }
    if (told.length) document.getElementById("announce").textContent = told.join(". ");
  }
  before = active;
}

export function drawDevices(state) {
  const rows = state.devices.map((device) => deviceRow(device));
  const body = rows.length ? h("ul", { class: "rows" }, rows) : h("p", { class: "muted" }, word("noDevices"));
  show("devices", title("devices", state.devices.length ? count(state.devices.length) : ""), body);
}

function deviceRow(device) {
  const values = Object.entries(device.last ?? {});
  const about = [device.model, [device.line, device.address].filter((part) => part || part === 0).join(" #")];
  const nothing = word(device.last === undefined ? "hiddenValues" : "noValues");
  return h(
    "li",
    { class: "device" },
    h(
      "div",
      {},
      h("h3", {}, device.name),
      h("p", { class: "state", "data-state": device.state, title: device.sentence }, stateText(device)),
      h("p", { class: "about" }, about.filter(Boolean).join(" · ")),
    ),
    values.length
      ? h("dl", { class: "values" }, values.map(([point, shown]) => value(device, point, shown)))
      : h("p", { class: "muted" }, nothing),
  );
}

export function stateText(row) {
  const why = row.state === "online" || !row.reason ? "" : ` · ${row.reason}`;
  return word(row.state) + why;
}

function value(device, point, shown) {
  remember(device.name, point, shown.time, shown.value);
  const bad = shown.quality === "bad" || shown.value === null;
  const limit = device.every_s ? Math.max(3 * device.every_s, 10) : STALE_SECONDS;
  const stale = !bad && (device.state === "offline" || shown.age_s > limit);
  const notes = [ago(shown.age_s ?? 0)];
  if (bad) notes.unshift(`${word("bad")}${shown.reason ? ` (${shown.reason})` : ""}`);
  else if (stale) notes.unshift(word("stale"));
  else if (shown.quality === "uncertain") notes.unshift(word("uncertain"));
  const look = bad ? "bad" : stale ? "stale" : shown.quality === "uncertain" ? "uncertain" : "";
  return h(
    "div",
    { class: `value ${look}`.trim() },
    h("dt", { title: point }, point),
    h("dd", {}, bad ? "—" : number(shown.value), shown.unit && !bad ? h("small", {}, ` ${shown.unit}`) : null),
    h("dd", { class: "age" }, notes.join(" · ")),
    look ? null : sparkline(device.name, point),
  );
}
