// Numbers and times as people read them, in the browser's language and time zone.

import { state } from "./state.js";

const own = (options) => new Intl.DateTimeFormat(undefined, { ...options, timeZone: state.zone });
const CLOCK = own({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const CLOCK_S = own({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = own({ weekday: "short", day: "numeric", month: "short" });
const DATE = own({ day: "numeric", month: "short", year: "numeric" });
const COUNT = new Intl.NumberFormat();

export const clock = (utc) => CLOCK.format(new Date(utc));
export const clockSeconds = (utc) => CLOCK_S.format(new Date(utc));
export const day = (utc) => DAY.format(new Date(utc));
export const date = (utc) => DATE.format(new Date(utc));
export const count = (n) => COUNT.format(n);
export const many = (n, one, more = one + "s") => `${count(n)} ${n === 1 ? one : more}`;
export const score = (value) => Number(value).toFixed(2);

export const decibels = (value) => `${String(Math.round(value)).replace("-", "\u2212")} dBFS`;

export const localDay = (moment = new Date()) =>
  new Intl.DateTimeFormat("sv-SE", { timeZone: state.zone }).format(moment);

export function longDay(isoDay) {
  const noon = new Date(isoDay + "T12:00:00Z");
  return new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" }).format(noon);
}

export function shiftDay(isoDay, days) {
  const moment = new Date(isoDay + "T12:00:00Z");
  moment.setUTCDate(moment.getUTCDate() + days);
  return moment.toISOString().slice(0, 10);
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  const hours = seconds / 3600;
  return hours < 48 ? `${Math.floor(hours)} h ${String(Math.round(seconds / 60) % 60).padStart(2, "0")} min` : `${count(Math.round(hours))} h`;
}

export function ago(utc) {
  const seconds = Math.max(0, (Date.now() - new Date(utc).getTime()) / 1000);
  if (seconds < 5) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

// The instant at which a local day (and hour) begins, as UTC: found by asking the zone for its offset there.
export function startOf(isoDay, hour = 0) {
  const guess = Date.parse(`${isoDay}T${String(hour).padStart(2, "0")}:00:00Z`);
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en-US", { timeZone: state.zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" })
      .formatToParts(guess).map((part) => [part.type, Number(part.value)]));
  const there = Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute);
  return new Date(guess - (there - guess)).toISOString();
}
