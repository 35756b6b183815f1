// Today: what sang in which hour, against what was listened, and what is new.

import { get } from "../api.js";
import { el, icon, replace } from "../dom.js";
import { empty, fault, loading, picture, ring, speciesLink, latin } from "../parts.js";
import { state } from "../state.js";
import { sun } from "../sun.js";
import { clock, count, duration, localDay, longDay, many, shiftDay, startOf } from "../words.js";

const NEW = { ever: "for the first time ever", year: "for the first time this year", day: "for the first time in a month" };
const HOURS = Array.from({ length: 24 }, (_, hour) => hour);

export async function show(main, { rest }) {
  const today = localDay();
  const day = /^\d{4}-\d\d-\d\d$/.test(rest[0] || "") ? rest[0] : today;
  const body = el("div", {}, loading());
  const title = el("h1", { tabindex: -1 }, day === today ? "Today" : longDay(day));
  const note = el("p", { class: "note" }, longDay(day));
  replace(main, el("header", { class: "view-head" }, el("div", {}, title, note), el("div", { class: "tools day-tools" },
    el("a", { class: "round", href: `#/today/${shiftDay(day, -1)}`, "aria-label": "The day before" }, icon("left")),
    el("label", {}, el("span", { class: "visually-hidden" }, "Day"), el("input", { type: "date", value: day, max: today, onchange: (event) => { if (event.target.value) location.hash = `#/today/${event.target.value}`; } })),
    day < today ? el("a", { class: "round", href: `#/today/${shiftDay(day, 1)}`, "aria-label": "The day after" }, icon("right")) : null)), body);
  const load = async () => {
    try {
      const found = await get("today", { day, tz: state.zone, station: state.station });
      note.textContent = `${day === today ? longDay(day) + ". " : ""}${summary(found)}`;
      draw(body, found, day === today);
    } catch (error) {
      replace(body, fault(error, load));
    }
  };
  await load();
  const timer = day === today ? setInterval(load, 60000) : null;
  return () => clearInterval(timer);
}

function summary(found) {
  const events = found.species.reduce((sum, row) => sum + row.total, 0);
  const listened = found.listened_s.reduce((sum, seconds) => sum + seconds, 0);
  return `${many(found.species.length, "species", "species")} in ${many(events, "event")}, ${duration(listened)} listened.`;
}

function draw(body, found, isToday) {
  const fresh = found.species.filter((row) => row.new);
  fresh.sort((a, b) => ["ever", "year", "day"].indexOf(a.new) - ["ever", "year", "day"].indexOf(b.new));
  const listened = found.listened_s.some((seconds) => seconds > 0);
  replace(body,
    fresh.length ? el("section", { class: "new", "aria-labelledby": "new" }, el("h2", { id: "new" }, "New"), el("div", { class: "tiles" }, fresh.slice(0, 8).map(newTile))) : null,
    el("section", { "aria-labelledby": "hours" }, el("h2", { id: "hours" }, "Species by hour"),
      found.species.length ? heatMap(found, isToday) : empty(listened ? "None detected" : "Not recorded", listened ? `in ${duration(found.listened_s.reduce((a, b) => a + b, 0))} of listening.` : "No station was recording on this day.")));
}

function newTile(row) {
  // Whether its sound is kept is known to the event alone.
  const place = el("div", { class: "picture" });
  get(`events/${encodeURIComponent(row.best_event)}`).then((event) => place.replaceWith(picture(event)), () => place.replaceWith(picture({ clip: false })));
  return el("figure", { class: `tile new-${row.new}` }, place,
    el("figcaption", {}, el("span", { class: "tile-name" }, speciesLink(row)), ring(row.best_score), el("span", { class: "tile-when" }, latin(row), el("span", { class: "first" }, NEW[row.new]))));
}

function heatMap(found, isToday) {
  const most = Math.max(...found.species.map((row) => Math.max(...row.events)), 1);
  const full = Math.max(...found.listened_s, 1);
  const now = isToday ? Number(clock(new Date()).slice(0, 2)) : 24;
  return el("div", { class: "heat" },
    el("div", { class: "heat-row heat-axis", "aria-hidden": "true" }, el("span"), el("div", { class: "cells" }, HOURS.map((hour) => el("span", {}, hour % 3 === 0 ? String(hour) : ""))), el("span")),
    dayBand(found.day),
    el("ol", { class: "heat-rows" }, found.species.map((row) => heatRow(row, found, most, now))),
    el("div", { class: "heat-row effort" }, el("span", { class: "heat-name" }, "listened"),
      el("div", { class: "cells", role: "img", "aria-label": "Seconds listened by hour" }, HOURS.map((hour) =>
        el("i", { class: hour > now ? "later" : found.listened_s[hour] > 0 ? "" : "none", title: `${hour} h: ${duration(found.listened_s[hour])} listened`, css: { "--part": (found.listened_s[hour] / full).toFixed(3) } }))),
      el("span", { class: "heat-total" }, duration(found.listened_s.reduce((a, b) => a + b, 0)))),
    el("p", { class: "legend" }, el("span", {}, el("i", { class: "key few" }), "1"), el("span", {}, el("i", { class: "key most" }), `${many(most, "event")} in an hour`), el("span", {}, el("i", { class: "key none" }), "not recorded")));
}

function heatRow(row, found, most, now) {
  const best = row.events.indexOf(Math.max(...row.events));
  const cells = HOURS.map((hour) => {
    const n = row.events[hour];
    const kind = n ? "some" : hour > now ? "later" : found.listened_s[hour] > 0 ? "zero" : "none";
    const open = n ? () => { location.hash = `#/events?species=${encodeURIComponent(row.code)}&from=${startOf(found.day, hour)}&to=${startOf(hour < 23 ? found.day : shiftDay(found.day, 1), (hour + 1) % 24)}`; } : null;
    return el("i", { class: kind, title: n ? `${hour} h: ${many(n, "event")}` : kind === "none" ? `${hour} h: not recorded` : null, onclick: open, css: n ? { "--heat-part": (0.16 + 0.84 * Math.sqrt(n / most)).toFixed(3) } : {} });
  });
  return el("li", { class: "heat-row" }, el("span", { class: "heat-name" }, speciesLink(row), row.new ? el("span", { class: `badge ${row.new}` }, row.new === "day" ? "back" : row.new === "year" ? "new this year" : "new") : null),
    el("div", { class: "cells", role: "img", "aria-label": `${many(row.total, "event")}, most from ${best} to ${best + 1} h` }, cells),
    el("span", { class: "heat-total" }, count(row.total)));
}

// Night, dawn and day over the hours, where a station knows its place.
function dayBand(day) {
  const station = state.stations.find((one) => one.name === state.station && typeof one.lat === "number") || state.stations.find((one) => typeof one.lat === "number");
  const times = station && sun(day, station.lat, station.lon);
  if (!times) return null;
  const midnight = Date.parse(startOf(day));
  const part = (moment) => (100 * (moment - midnight)) / 86400e3;
  const [rise, set] = times.map(part);
  const band = el("div", { class: "band" });
  band.style.background = `linear-gradient(90deg, var(--night) ${rise - 4}%, var(--dawn) ${rise}%, var(--dayband) ${rise + 5}%, var(--dayband) ${set - 5}%, var(--dawn) ${set}%, var(--night) ${set + 4}%)`;
  return el("div", { class: "heat-row sun", role: "img", "aria-label": `Sunrise ${clock(times[0])}, sunset ${clock(times[1])}` }, el("span"),
    el("div", { class: "band-box" }, band, el("span", { css: { left: rise + "%" } }, clock(times[0])), el("span", { css: { left: set + "%" } }, clock(times[1]))), el("span"));
}
