// Events: filter, sort, play, and walk through them by keyboard; one event has a page of its own.

import { clipOf, get } from "../api.js";
import { el, icon, replace } from "../dom.js";
import { empty, fault, field, heading, latin, loading, picture, ring, speciesLink, verdict } from "../parts.js";
import { speciesBox } from "../species_box.js";
import { nameOf, state } from "../state.js";
import { clockSeconds, day, duration, localDay, longDay, shiftDay, startOf } from "../words.js";
import { verdictButtons } from "../verdicts.js";

const SORTS = [["-time", "Newest first"], ["time", "Oldest first"], ["-score", "Highest score"], ["score", "Lowest score"]];
const REVIEWS = [["", "Reviewed or not"], ["none", "Not reviewed"], ["right", "Right"], ["wrong", "Wrong"], ["other", "Another species"], ["unsure", "Unsure"]];

export async function show(main, { rest, search }) {
  if (rest[0]) return single(main, rest[0]);
  const view = new Events(main, search);
  await view.load();
  return () => view.close();
}

class Events {
  constructor(main, search) {
    this.wanted = { sort: "-time", ...search };
    this.list = el("ol", { class: "event-list" });
    this.more = el("div", { class: "more" });
    this.key = (event) => this.keyed(event);
    document.addEventListener("keydown", this.key);
    this.watch = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting) && this.next) this.load(true); }, { rootMargin: "600px" });
    this.watch.observe(this.more);
    replace(main, heading("Events", el("span", { class: "keys" }, el("kbd", {}, "J"), " ", el("kbd", {}, "K"), " next and previous, ", el("kbd", {}, "space"), " plays, ", el("kbd", {}, "enter"), " opens")), this.filters(), this.list, this.more);
  }

  filters() {
    const { input, options } = speciesBox(this.wanted.species, (code) => this.want("species", code));
    const days = (name) => el("input", {
      type: "date", value: this.wanted[name] ? localDay(new Date(this.wanted[name])) : "",
      onchange: (event) => this.want(name, event.target.value && startOf(name === "to" ? shiftDay(event.target.value, 1) : event.target.value)),
    });
    const select = (name, rows) => el("select", { onchange: (event) => this.want(name, event.target.value) },
      rows.map(([value, text]) => el("option", { value, selected: value === (this.wanted[name] || "") }, text)));
    const least = el("input", { type: "range", min: 0, max: 1, step: 0.05, value: this.wanted.min_score || 0 });
    const shown = el("output", {}, Number(this.wanted.min_score || 0).toFixed(2));
    least.addEventListener("input", () => { shown.textContent = Number(least.value).toFixed(2); });
    least.addEventListener("change", () => this.want("min_score", Number(least.value) ? least.value : ""));
    const wide = matchMedia("(min-width: 861px)").matches;
    const used = Object.keys(this.wanted).filter((name) => name !== "sort" && this.wanted[name]).length;
    return el("details", { class: "folded", open: wide || used > 0 }, el("summary", {}, icon("search"), "Filter and sort"), el("form", { class: "filters", role: "search", "aria-label": "Events", onsubmit: (event) => event.preventDefault() },
      field("Species", input, "grow"), options, field("From", days("from")), field("To", days("to")),
      el("label", { class: "field" }, el("span", {}, "Score from ", shown), least), field("Review", select("review", REVIEWS)), field("Sort", select("sort", SORTS)),
      used ? el("a", { class: "link clear", href: "#/events" }, "Clear") : null));
  }

  want(name, value) {
    const wanted = { ...this.wanted, [name]: value };
    const kept = Object.entries(wanted).filter(([key, one]) => one && !(key === "sort" && one === "-time"));
    location.hash = "#/events" + (kept.length ? "?" + new URLSearchParams(kept) : "");
  }

  async load(more = false) {
    if (this.busy) return;
    this.busy = true;
    if (!more) replace(this.list, loading());
    try {
      const found = await get("events", { station: state.station, limit: 50, ...this.wanted, cursor: more ? this.next : "" });
      if (!more) this.list.replaceChildren();
      if (!more && !found.events.length) replace(this.list, el("li", {}, empty("No event matches", "Fewer filters find more.")));
      this.append(found.events);
      this.next = found.next;
      replace(this.more, found.next ? el("button", { class: "button", type: "button", onclick: () => this.load(true) }, "Show more") : null);
    } catch (error) {
      replace(more ? this.more : this.list, el(more ? "div" : "li", {}, fault(error, () => this.load(more))));
    } finally {
      this.busy = false;
    }
  }

  append(events) {
    for (const event of events) {
      const today = localDay(new Date(event.start_utc));
      if (this.wanted.sort.endsWith("time") && today !== this.day) {
        this.day = today;
        this.list.append(el("li", { class: "day-head" }, el("h2", {}, longDay(today))));
      }
      this.list.append(row(event));
    }
  }

  keyed(event) {
    if (event.target.closest("input, select, textarea") || event.metaKey || event.ctrlKey || event.altKey) return;
    const rows = [...this.list.querySelectorAll(".event-row")];
    const at = rows.indexOf(document.activeElement?.closest(".event-row"));
    const move = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (move && rows.length) {
      event.preventDefault();
      const next = rows[Math.min(rows.length - 1, Math.max(0, at + move))];
      next.querySelector("button, a").focus();
      next.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" && at >= 0 && document.activeElement.matches(".picture")) {
      event.preventDefault();
      rows[at].querySelector(".open").click();
    }
  }

  close() {
    document.removeEventListener("keydown", this.key);
    this.watch.disconnect();
  }
}

function row(event) {
  const seconds = (Date.parse(event.end_utc) - Date.parse(event.start_utc)) / 1000;
  return el("li", { class: "event-row" }, picture(event),
    el("div", { class: "event-name" }, speciesLink(event, { class: "serif" }), latin(event)),
    el("span", { class: "event-when" }, el("b", {}, clockSeconds(event.start_utc)), el("span", {}, duration(seconds))),
    el("span", { class: "event-station" }, event.station, verdict(event.review)), ring(event.score),
    el("a", { class: "round open", href: `#/events/${encodeURIComponent(event.id)}`, "aria-label": `Open ${nameOf(event)}, ${day(event.start_utc)} ${clockSeconds(event.start_utc)}` }, icon("right")));
}

async function single(main, id) {
  const event = await get(`events/${encodeURIComponent(id)}`);
  const review = el("div");
  const draw = (now) => {
    replace(review, now.review ? el("p", {}, verdict(now.review), now.review.code ? ` ${state.names[now.review.code] || now.review.code}` : "", now.review.by ? ` by ${now.review.by}` : "", now.review.at_utc ? `, ${day(now.review.at_utc)} ${clockSeconds(now.review.at_utc)}` : "") : null,
      verdictButtons(now, draw));
  };
  draw(event);
  const seconds = (Date.parse(event.end_utc) - Date.parse(event.start_utc)) / 1000;
  replace(main, el("a", { class: "back", href: "#/events" }, icon("left"), "All events"),
    el("article", { class: "single" }, el("header", {}, el("h1", { tabindex: -1 }, speciesLink(event)), latin(event)), picture(event, { large: true }),
      el("dl", { class: "facts" },
        [["When", `${day(event.start_utc)}, ${clockSeconds(event.start_utc)}`], ["Length", duration(seconds)], ["Station", event.station], ["Score", ring(event.score)]].map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
      el("section", { class: "panel", "aria-labelledby": "rev" }, el("h2", { id: "rev" }, "Is it right?"), review),
      event.clip ? el("p", { class: "note" }, el("a", { href: clipOf(event), download: "" }, "Save the sound")) : null));
  return null;
}
