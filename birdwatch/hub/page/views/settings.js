// Settings: thresholds by species, and how this browser shows the page.

import { get, send } from "../api.js";
import { el, replace } from "../dom.js";
import { say } from "../notices.js";
import { choice, fault, field, heading, loading, searchBox } from "../parts.js";
import { species as speciesOf } from "../species_box.js";
import { applyTheme, loadNames, mayWrite, nameOf, remember, state } from "../state.js";

export async function show(main) {
  const box = el("div", {}, loading());
  const where = state.station || state.stations[0]?.name || "";
  const station = el("select", { onchange: (event) => thresholds(box, event.target.value) }, state.stations.map((one) => el("option", { value: one.name, selected: one.name === where }, one.name)));
  replace(main, heading("Settings"),
    el("div", { class: "settings" },
      el("section", { class: "panel", "aria-labelledby": "thr" }, el("header", { class: "panel-head" }, el("h2", { id: "thr" }, "Thresholds"), state.stations.length > 1 ? field("Station", station) : null),
        el("p", { class: "note" }, "The score at or above which a class counts as detected."), box),
      page()));
  thresholds(box, where);
  return null;
}

function page() {
  const languages = new Intl.DisplayNames(undefined, { type: "language" });
  const nameOfLanguage = (code) => { try { return languages.of(code.replace("_", "-")); } catch { return code; } };
  const locale = el("select", { onchange: async (event) => { remember("locale", event.target.value); try { await loadNames(); say("Names changed"); } catch (error) { say(error.message, "bad"); } } },
    el("option", { value: "" }, "As detected"), state.locale ? el("option", { value: state.locale, selected: true }, nameOfLanguage(state.locale)) : null);
  get("labels", { locale: state.locale }).then(({ locales }) => locale.append(...locales.filter((code) => code !== state.locale).map((code) => el("option", { value: code }, nameOfLanguage(code)))), () => {});
  return el("section", { class: "panel", "aria-labelledby": "look" }, el("h2", { id: "look" }, "This browser"),
    el("div", { class: "stack" },
      el("div", { class: "field" }, el("span", {}, "Colours"), choice("Colours", [["", "As the device"], ["light", "Day"], ["dark", "Night"]], state.theme, (value) => { remember("theme", value); applyTheme(); })),
      field("Names of species", locale),
      field("Your name, for reviews", el("input", { value: state.reviewer, autocomplete: "nickname", onchange: (event) => remember("reviewer", event.target.value.trim()) })),
      el("p", { class: "note" }, `Times are in ${state.zone}. birdwatch ${state.session.version}.`),
      el("p", { class: "note" }, "For your own programs: ", el("a", { href: "api/v1/stations" }, "the API"), " answers in JSON."),
      state.session.password_set ? (state.session.signed_in
        ? el("button", { class: "button", type: "button", onclick: async () => { try { await send("POST", "logout"); location.reload(); } catch (error) { say(error.message, "bad"); } } }, "Sign out")
        : el("button", { class: "button primary", type: "button", onclick: () => document.dispatchEvent(new Event("sign-in")) }, "Sign in")) : null));
}

async function thresholds(box, station) {
  replace(box, loading());
  try {
    const [found, species] = await Promise.all([get("settings/thresholds", { station }), get("species")]);
    new Thresholds(box, station, found, species.species).draw();
  } catch (error) {
    replace(box, fault(error, () => thresholds(box, station)));
  }
}

class Thresholds {
  constructor(box, station, found, species) {
    Object.assign(this, { box, station, found, species, words: "" });
    this.now = { default: found.default, classes: { ...found.classes } };
    this.writable = found.writable && mayWrite();
    this.labels = [];
    this.rows = el("ol", { class: "thresholds" });
    this.save = el("button", { class: "button primary", type: "button", disabled: true, onclick: () => this.put() }, "Apply");
  }

  draw() {
    const why = this.found.why || (mayWrite() ? "This station's thresholds cannot be changed from here." : "Sign in to change them.");
    replace(this.box, this.writable ? null : el("p", { class: "why" }, why),
      this.others(),
      searchBox("Find a species", (value) => this.find(value)), this.rows, this.writable ? el("div", { class: "apply" }, this.save) : null);
    this.list();
    // Names of what has a threshold of its own and was never detected.
    const detected = new Set(this.species.map((row) => row.code));
    if (Object.keys(this.now.classes).some((code) => !detected.has(code))) this.load();
  }

  others() {
    const item = el("div", { class: "threshold default" });
    const fill = () => replace(item,
      el("span", { class: "threshold-name" }, "All others",
        this.writable && this.now.default !== null ? el("button", { class: "link", type: "button", onclick: () => { this.now.default = null; this.changed(); fill(); item.querySelector("input").focus(); } }, "use the model's own") : null),
      this.now.default === null && !this.writable ? el("span", {}, "the model's own") : this.slider("All others", this.now.default, (value) => { const first = this.now.default === null; this.now.default = value; if (first) fill(); }));
    fill();
    return item;
  }

  // Species that were never detected come with the first search.
  async find(value) {
    this.words = value.trim().toLowerCase();
    this.list();
    if (this.words && !this.labels.length && this.writable) await this.load();
  }

  async load() {
    try { this.labels = await speciesOf(true); } catch { return; }
    this.list();
  }

  list() {
    const named = new Map(this.labels.filter((row) => this.words || own(this.now, row.code)).map((row) => [row.code, row.text]));
    for (const row of this.species) named.set(row.code, nameOf(row));
    for (const code of Object.keys(this.now.classes)) if (!named.has(code)) named.set(code, state.names[code] || code);
    const rows = [...named].filter(([code]) => this.writable || own(this.now, code)).filter(([code, name]) => `${name} ${code}`.toLowerCase().includes(this.words))
      .sort((a, b) => own(this.now, b[0]) - own(this.now, a[0]) || a[1].localeCompare(b[1])).slice(0, 100);
    replace(this.rows, rows.map(([code, name]) => this.row(code, name)));
  }

  row(code, name) {
    const item = el("li", { class: own(this.now, code) ? "threshold own" : "threshold" });
    const reset = el("button", { class: "link", type: "button", "aria-label": `${name}: back to the default`, disabled: !this.writable, onclick: () => { delete this.now.classes[code]; this.changed(); fill(); item.querySelector("input").focus(); } }, "use the default");
    const fill = () => {
      item.classList.toggle("own", own(this.now, code));
      reset.hidden = !own(this.now, code);
      replace(item, el("span", { class: "threshold-name" }, name, reset), this.slider(name, this.now.classes[code] ?? this.now.default, (value) => { this.now.classes[code] = value; reset.hidden = false; item.classList.add("own"); }));
    };
    fill();
    return item;
  }

  slider(name, value, onchange) {
    const range = el("input", { type: "range", min: 0.01, max: 0.99, step: 0.01, value: value ?? 0.5, disabled: !this.writable, "aria-label": `Threshold: ${name}` });
    const number = el("input", { type: "number", min: 0.01, max: 0.99, step: 0.01, value: value === null ? "" : Number(value).toFixed(2), placeholder: "own", disabled: !this.writable, "aria-label": `Threshold as a number: ${name}` });
    const set = (text, other) => {
      const chosen = Number(text);
      if (!(chosen > 0 && chosen <= 1)) return;
      other.value = chosen.toFixed(2);
      onchange(chosen);
      this.changed();
    };
    range.addEventListener("input", () => set(range.value, number));
    number.addEventListener("input", () => set(number.value, range));
    return el("span", { class: "slider" }, range, number);
  }

  changed() { this.save.disabled = false; }

  async put() {
    this.save.disabled = true;
    try {
      const query = this.station ? `?station=${encodeURIComponent(this.station)}` : "";
      this.now = await send("PUT", "settings/thresholds" + query, this.now);
      say("In force at the station now");
    } catch (error) {
      this.save.disabled = false;
      say(error.message, "bad");
    }
  }
}

const own = (now, code) => code in now.classes;
