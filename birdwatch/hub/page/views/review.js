// Review: one event at a time, by keyboard or thumb, with undo.

import { get } from "../api.js";
import { el, icon, replace } from "../dom.js";
import { say } from "../notices.js";
import { choice, empty, fault, field, latin, loading, picture, ring, speciesLink } from "../parts.js";
import { speciesBox } from "../species_box.js";
import { mayWrite, nameOf, remember, state } from "../state.js";
import { askSpecies, review, undo, VERDICTS } from "../verdicts.js";
import { clock, count, day } from "../words.js";

export async function show(main, { search }) {
  if (!mayWrite()) {
    replace(main, el("h1", {}, "Review"), empty("Sign in to review", el("button", { class: "button primary", type: "button", onclick: () => document.dispatchEvent(new Event("sign-in")) }, "Sign in")));
    return null;
  }
  const view = new Review(main, search);
  await view.next();
  return () => document.removeEventListener("keydown", view.key);
}

class Review {
  constructor(main, search) {
    this.order = "uncertain";
    this.species = search.species || "";
    this.done = [];
    this.card = el("div", { class: "review-card", "aria-live": "polite" });
    this.left = el("p", { class: "note" });
    this.key = (event) => this.keyed(event);
    document.addEventListener("keydown", this.key);
    const { input, options } = speciesBox(this.species, (code) => { this.species = code; this.next(); });
    replace(main,
      el("header", { class: "view-head" }, el("div", {}, el("h1", { tabindex: -1 }, "Review"), this.left),
        el("div", { class: "tools" }, field("Species", input), options,
          field("Your name", el("input", { value: state.reviewer, autocomplete: "nickname", placeholder: "for the record", size: 12, onchange: (event) => remember("reviewer", event.target.value.trim()) })),
          choice("Next by", [["uncertain", "Uncertain"], ["newest", "Newest"], ["random", "Random"]], this.order, (value) => { this.order = value; this.next(); }))),
      this.card);
  }

  async next() {
    replace(this.card, loading());
    try {
      const found = await get("review/next", { order: this.order, species: this.species, station: state.station });
      this.left.textContent = found.event ? `${count(found.left)} left to review` : "";
      this.draw(found.event);
    } catch (error) {
      replace(this.card, fault(error, () => this.next()));
    }
  }

  draw(event) {
    this.event = event;
    if (!event) return replace(this.card, empty("All reviewed", "Nothing is left with these filters."), this.undoButton());
    this.picture = picture(event, { large: true });
    return replace(this.card, this.picture,
      el("div", { class: "review-name" }, el("h2", {}, speciesLink(event)), latin(event), el("p", { class: "note" }, `${day(event.start_utc)}, ${clock(event.start_utc)} · ${event.station}`), ring(event.score)),
      el("div", { class: "verdicts" }, VERDICTS.map(([verdict, text, key]) => el("button", { class: `button ${verdict}`, type: "button", onclick: () => this.say(verdict) }, text, el("kbd", { "aria-hidden": "true" }, key.toUpperCase())))),
      el("p", { class: "review-keys" }, el("span", {}, el("kbd", {}, "space"), " plays"), el("span", {}, el("kbd", {}, "S"), " skips"), this.undoButton()));
  }

  undoButton() {
    return this.done.length ? el("button", { class: "button quiet", type: "button", onclick: () => this.undo() }, icon("undo"), "Undo", el("kbd", { "aria-hidden": "true" }, "Z")) : null;
  }

  async say(verdict) {
    const event = this.event;
    if (!event || this.busy) return;
    this.busy = true;
    try {
      const code = verdict === "other" ? await askSpecies(event) : null;
      if (verdict === "other" && !code) return;
      this.done.push(await review(event, verdict, code));
      await this.next();
    } catch (error) {
      say(error.message, "bad");
    } finally {
      this.busy = false;
    }
  }

  async undo() {
    const last = this.done.pop();
    if (!last) return;
    try {
      this.draw(await undo(last));
      say(`${nameOf(last)} is open again`);
    } catch (error) {
      this.done.push(last);
      say(error.message, "bad");
    }
  }

  keyed(event) {
    if (event.target.closest("input, select, textarea, dialog") || event.metaKey || event.ctrlKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const verdict = VERDICTS.find((row) => row[2] === key);
    if (verdict) this.say(verdict[0]);
    else if (key === "z") this.undo();
    else if (key === "s") this.next();
    else if (key === " " && !event.target.closest("button, a")) this.picture?.click();
    else return;
    event.preventDefault();
  }
}
