// Turns numbers, times and plates into text for people.
import { language, word } from "./words.js";

export function number(value) {
  if (typeof value === "boolean") return word(value ? "on" : "off");
  if (typeof value !== "number") return String(value);
  const digits = Number.isInteger(value) ? 0 : Math.abs(value) >= 1000 ? 1 : Math.abs(value) >= 100 ? 2 : 3;
  return value.toLocaleString(language(), { maximumFractionDigits: digits, useGrouping: Math.abs(value) >= 100000 });
}

export function count(value) {
  return Number(value ?? 0).toLocaleString(language());
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(value) {
  let size = Number(value ?? 0);
  let unit = 0;
  while (size >= 1024 && unit < SIZES.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size.toLocaleString(language(), { maximumFractionDigits: size < 10 && unit ? 1 : 0 })} ${SIZES[unit]}`;
}

export function percent(ratio) {
  return ratio.toLocaleString(language(), { style: "percent", maximumFractionDigits: ratio < 0.1 ? 1 : 0 });
}

// Seconds as the two largest units that matter: "45 s", "3 min", "2 h 5 min", "4 d 3 h".
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const gap = language() === "zh" ? "" : " ";
  const unit = (amount, name) => `${amount}${gap}${word(name)}`;
  if (whole < 60) return unit(whole, "second");
  if (whole < 3600) return unit(Math.floor(whole / 60), "minute");
  if (whole < 86400) {
    const minutes = Math.floor((whole % 3600) / 60);
    return unit(Math.floor(whole / 3600), "hour") + (minutes ? `${gap}${unit(minutes, "minute")}` : "");
  }
  const hours = Math.floor((whole % 86400) / 3600);
  return unit(Math.floor(whole / 86400), "day") + (hours ? `${gap}${unit(hours, "hour")}` : "");
}

export function ago(seconds) {
  return seconds < 1 ? word("now") : word("ago", span(seconds));
}

// Time of day as the gateway wrote it, in its own zone; the date only when it is another day.
export function clock(text, now) {
  if (!text) return "";
  const time = text.slice(11, 19);
  return now && text.slice(0, 10) !== now.slice(0, 10) ? `${text.slice(5, 10)} ${time.slice(0, 5)}` : time;
}

// Plates are personal data: on a screen that others can see, only the ends are shown (沪A1***5).
export function maskedPlate(text) {
  const signs = [...(text ?? "")];
  if (signs.length < 5) return signs.length ? `${signs[0]}***` : "—";
  return `${signs.slice(0, 3).join("")}***${signs.at(-1)}`;
}
