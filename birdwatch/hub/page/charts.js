// Drawings of counts against effort. Time that was not recorded is hatched, never left empty as if it meant "none".

import { el, svg } from "./dom.js";
import { count, duration } from "./words.js";

export const perHour = (row) => (row.listened_s > 0 ? row.events / (row.listened_s / 3600) : 0);
const told = (row) => (row.listened_s > 0 || row.events ? `${count(row.events)} in ${duration(row.listened_s)} listened` : "not recorded");

// The day as a clock: 24 hours around, midnight at the bottom, longer is more events per hour of listening.
export function dayClock(hours, name) {
  const size = 340, middle = size / 2, inner = 62, outer = 138;
  const most = Math.max(...hours.map(perHour), 1e-9);
  const point = (radius, hour) => {
    const angle = ((hour - 12) / 24) * 2 * Math.PI;
    return [middle + radius * Math.sin(angle), middle - radius * Math.cos(angle)].map((value) => value.toFixed(1)).join(" ");
  };
  const wedge = (from, to, hour) =>
    `M${point(from, hour + 0.06)} L${point(to, hour + 0.06)} A${to} ${to} 0 0 1 ${point(to, hour + 0.94)} L${point(from, hour + 0.94)} A${from} ${from} 0 0 0 ${point(from, hour + 0.06)}Z`;
  const best = hours.reduce((a, b) => (perHour(b) > perHour(a) ? b : a), hours[0]);
  return svg("svg", { class: "clock", viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": `Events by hour of the day against effort; the most from ${best.hour} to ${best.hour + 1} h` },
    hatch("clock-hatch"),
    hours.map((row) => svg("path", { class: row.listened_s > 0 || row.events ? "rest" : "none", d: wedge(inner, outer, row.hour) }, svg("title", {}, `${row.hour} h: ${told(row)}`))),
    hours.filter((row) => row.events && row.listened_s > 0).map((row) =>
      svg("path", { class: "part", d: wedge(inner, inner + Math.max(3, (outer - inner) * (perHour(row) / most)), row.hour) }, svg("title", {}, `${row.hour} h: ${told(row)}`))),
    [0, 3, 6, 9, 12, 15, 18, 21].map((hour) => {
      const [x, y] = point(outer + 15, hour).split(" ");
      return svg("text", { x, y, class: hour % 6 ? "minor" : "" }, String(hour));
    }),
    svg("text", { class: "clock-name", x: middle, y: middle - 4 }, `${best.hour}–${(best.hour + 1) % 24} h`),
    svg("text", { class: "clock-note", x: middle, y: middle + 17 }, "busiest hour"));
}

export const hatch = (id) =>
  svg("defs", {}, svg("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("line", { class: "hatch-line", x1: 0, y1: 0, x2: 0, y2: 6 })));

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// A year a row, 53 weeks across: seasons lie above each other.
export function seasons(weeks) {
  const years = new Map();
  for (const row of weeks) {
    const [year, week] = row.week.split("-W").map(Number);
    if (!years.has(year)) years.set(year, new Map());
    years.get(year).set(week, row);
  }
  const most = Math.max(...weeks.map(perHour), 1e-9);
  const tall = years.size < 2 ? 190 : years.size < 3 ? 120 : 74, wide = 16, left = 52, width = left + 53 * wide, height = years.size * (tall + 16) + 24;
  const first = weeks.reduce((a, b) => (b.week < a.week ? b : a)).week, last = weeks.reduce((a, b) => (b.week > a.week ? b : a)).week;
  const parts = [hatch("season-hatch")];
  [...years.keys()].sort((a, b) => b - a).forEach((year, at) => {
    const top = at * (tall + 16) + 8;
    parts.push(svg("text", { class: "year", x: 0, y: top + tall - 4 }, String(year)));
    for (let week = 1; week <= 53; week++) {
      const row = years.get(year).get(week) || { events: 0, listened_s: 0 };
      const name = `${year}-W${String(week).padStart(2, "0")}`;
      if (name < first || name > last || (week === 53 && !years.get(year).has(53))) continue;
      const x = left + (week - 1) * wide;
      const listened = row.listened_s > 0 || row.events > 0;
      const part = listened ? perHour(row) / most : 1;
      const high = listened ? (row.events ? Math.max(4, part * tall) : 2) : tall;
      parts.push(svg("rect", { class: listened ? (row.events ? "part" : "rest") : "none", x: x + 1.5, y: top + tall - high, width: wide - 3, height: high, rx: listened ? 2.5 : 2 },
        svg("title", {}, `Week ${week}, ${year}: ${told(row)}`)));
    }
  });
  MONTHS.forEach((month, at) => parts.push(svg("text", { class: "month", x: left + (at * 52.18 * wide) / 12 + 2, y: height - 4 }, month)));
  const busiest = weeks.reduce((a, b) => (perHour(b) > perHour(a) ? b : a), weeks[0]);
  const box = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Events by week, scrolled sideways" },
    svg("svg", { class: "seasons", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Events by week against effort; the most in ${busiest.week}` }, parts));
  // On a phone the present weeks come into sight first.
  requestAnimationFrame(() => { box.scrollLeft = (box.scrollWidth * (Number(last.split("-W")[1]) + 6)) / 58 - box.clientWidth; });
  return box;
}

export const REASONS = ["schedule", "device-lost", "stream-lost", "suspended", "overflow", "queue-full", "stall", "clock-step"];
const known = (reason) => (REASONS.includes(reason) ? reason : "other");

// Time accounted for: a bar an hour or a day; listened from below, gaps by reason on it, hatched what is not known.
export function accounting(rows, span_s, label) {
  const tall = 108, wide = 1000 / rows.length, gap = Math.min(3, wide * 0.16);
  const parts = [hatch("gap-hatch")];
  rows.forEach((row, at) => {
    const scale = tall / span_s;
    let y = tall;
    const tell = [`${label(row)}: ${duration(row.listened_s)} listened`, ...Object.entries(row.gaps).map(([reason, seconds]) => `${reason} ${duration(seconds)}`)].join(", ");
    const add = (seconds, kind) => {
      const high = Math.min(y, seconds * scale);
      if (high <= 0) return;
      y -= high;
      parts.push(svg("rect", { class: kind, x: (at * wide).toFixed(2), width: (wide - gap).toFixed(2), y: y.toFixed(2), height: Math.max(high, 1).toFixed(2) }, svg("title", {}, tell)));
    };
    add(row.listened_s, "listened");
    for (const [reason, seconds] of Object.entries(row.gaps)) add(seconds, `gap-${known(reason)}`);
    add(Math.max(0, y / scale), "unknown");
  });
  return svg("svg", { class: "accounting", viewBox: `0 0 1000 ${tall}`, preserveAspectRatio: "none", role: "img", "aria-label": "Time listened and gaps; the same as a table below" }, parts);
}
