// Remembers the last numbers of every point and draws them as small lines.
import { svg } from "./dom.js";

const KEPT = 90;
const past = new Map();

export function remember(device, point, time, value) {
  if (typeof value !== "number" || !time) return;
  const key = `${device}.${point}`;
  const line = past.get(key) ?? [];
  const moment = Date.parse(time);
  if (line.length && moment <= line.at(-1)[0]) return;
  line.push([moment, value]);
  if (line.length > KEPT) line.shift();
  past.set(key, line);
}

export function rememberRecord(record) {
  if (record.type !== "linli.reading.v1") return;
  for (const [point, shown] of Object.entries(record.data?.points ?? {})) {
    remember(record.subject, point, record.time, shown.value);
  }
}

export function forget() {
  past.clear();
}

// A line of the last values, or nothing while there is no change to see.
export function sparkline(device, point) {
  const line = past.get(`${device}.${point}`) ?? [];
  if (line.length < 4) return null;
  const values = line.map((entry) => entry[1]);
  const low = Math.min(...values);
  const high = Math.max(...values);
  if (high === low) return null;
  const start = line[0][0];
  const width = line.at(-1)[0] - start || 1;
  const steps = line.map(([moment, value], index) => {
    const x = (((moment - start) / width) * 100).toFixed(1);
    const y = (28 - ((value - low) / (high - low)) * 26).toFixed(1);
    return `${index ? "L" : "M"}${x} ${y}`;
  });
  const box = { viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" };
  return svg("svg", box, svg("path", { d: steps.join("") }));
}
