// Species: all of them, and one of them by season and hour against effort, with its best clips.

import { get } from "../api.js";
import { dayClock, seasons } from "../charts.js";
import { el, icon, replace } from "../dom.js";
import { empty, heading, latin, searchBox, speciesLink, tile, choice } from "../parts.js";
import { nameOf, state } from "../state.js";
import { ago, count, date, many } from "../words.js";

const SORTS = {
  events: (a, b) => b.events - a.events,
  last: (a, b) => (b.last_utc || "").localeCompare(a.last_utc || ""),
  name: (a, b) => nameOf(a).localeCompare(nameOf(b)),
};

export async function show(main, { rest }) {
  return rest[0] ? one(main, rest[0]) : all(main);
}

async function all(main) {
  const { species } = await get("species");
  const list = el("ol", { class: "species-list" });
  let words = "", sort = "events";
  const draw = () => {
    const most = Math.max(...species.map((row) => row.events), 1);
    const kept = species.filter((row) => `${nameOf(row)} ${row.name} ${row.scientific} ${row.code}`.toLowerCase().includes(words)).sort(SORTS[sort]);
    replace(list, kept.length ? kept.map((row) => el("li", { css: { "--part": row.events / most } },
      el("div", {}, speciesLink(row, { class: "serif" }), latin(row)),
      el("span", { class: "species-last" }, row.last_utc ? el("span", {}, ago(row.last_utc)) : null, row.first_utc ? el("span", {}, `since ${date(row.first_utc)}`) : null),
      el("b", {}, count(row.events)))) : el("li", { class: "plain" }, empty("No species by that name")));
  };
  replace(main, heading("Species", species.length ? `${many(species.length, "species", "species")} so far.` : null,
    searchBox("Find a species", (value) => { words = value.trim().toLowerCase(); draw(); }),
    choice("Sort by", [["events", "Most"], ["last", "Latest"], ["name", "Name"]], sort, (value) => { sort = value; draw(); })),
    species.length ? list : empty("No species yet", "The first event of a station shows up here."));
  draw();
  return null;
}

async function one(main, code) {
  const found = await get(`species/${encodeURIComponent(code)}`, { tz: state.zone });
  const total = found.weeks.reduce((sum, row) => sum + row.events, 0);
  const most = Math.max(...found.stations.map((row) => row.events), 1);
  replace(main,
    el("a", { class: "back", href: "#/species" }, icon("left"), "All species"),
    el("header", { class: "view-head species-head" }, el("div", {}, el("h1", { tabindex: -1 }, nameOf(found)), latin(found), el("p", { class: "note" }, many(total, "event"))),
      el("div", { class: "tools" }, el("a", { class: "button", href: `#/events?species=${encodeURIComponent(code)}` }, "All events"), el("a", { class: "button", href: `#/review?species=${encodeURIComponent(code)}` }, "Review"))),
    el("div", { class: "portrait" },
      el("section", { class: "panel", "aria-labelledby": "season" }, el("h2", { id: "season" }, "Seasons"), found.weeks.length ? seasons(found.weeks) : empty("No history yet"),
        el("p", { class: "legend" }, el("span", {}, "Height: events per hour listened"), el("span", {}, el("i", { class: "key none" }), "not recorded"))),
      el("section", { class: "panel", "aria-labelledby": "day" }, el("h2", { id: "day" }, "Day"), found.hours.length ? dayClock(found.hours, found.name) : empty("No history yet"))),
    el("section", { "aria-labelledby": "best" }, el("h2", { id: "best" }, "Best sounds"), found.best.length ? el("div", { class: "tiles" }, found.best.map((event) => tile(event, { species: false }))) : empty("No sound is kept of it")),
    el("section", { class: "at", "aria-labelledby": "at" }, el("h2", { id: "at" }, "Stations"), el("ol", { class: "tally" }, found.stations.map((row) => el("li", { css: { "--part": row.events / most } }, el("span", {}, row.name), el("b", {}, count(row.events)))))));
  return null;
}
