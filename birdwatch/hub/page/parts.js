// Parts that several views use: the picture that plays, the score, states of loading and of nothing.

import { pictureOf } from "./api.js";
import { el, icon, svg } from "./dom.js";
import { play } from "./player.js";
import { nameOf, scientificOf, state } from "./state.js";
import { clock, day, score } from "./words.js";

// Pictures are loaded where they come into sight; the browser's own "lazy" begins a screen or two before.
const sight = new IntersectionObserver((seen) => {
  for (const one of seen) {
    if (!one.isIntersecting) continue;
    sight.unobserve(one.target);
    one.target.querySelector("img").src = one.target.dataset.picture;
  }
}, { rootMargin: "40px" });

// The hub may still be fetching the clip of a new event from the station.
const NEW_MS = 60000;
const WAITS_MS = [2000, 5000, 15000];

function later(image, address) {
  queueMicrotask(() => {
    if (!image.parentNode) return;
    image.parentNode.dataset.picture = address;
    sight.observe(image.parentNode);
  });
}

export function picture(event, { large = false } = {}) {
  if (!event.clip) return el("div", { class: "picture silent" }, el("span", {}, "no sound kept"));
  const image = el("img", { alt: "", decoding: "async" });
  const address = pictureOf(event.id);
  if (large) image.src = address;
  else later(image, address);
  const waits = Date.now() - Date.parse(event.end_utc) < NEW_MS ? [...WAITS_MS] : [];
  image.addEventListener("error", () => {
    const wait = waits.shift();
    if (wait) setTimeout(() => { image.src = address; }, wait);
    else image.remove();
  });
  const button = el("button", {
    class: large ? "picture large" : "picture", type: "button", "aria-pressed": "false",
    "aria-label": `Play ${nameOf(event)}, ${day(event.start_utc)} ${clock(event.start_utc)}`,
    onclick: () => play(event, button),
  }, image, el("span", { class: "head", "aria-hidden": "true" }), el("span", { class: "sign", "aria-hidden": "true" }));
  return button;
}

// A ring that fills with the score: a glance is enough, the number is there too.
export function ring(value) {
  const around = 2 * Math.PI * 9;
  return el("span", { class: "ring", title: `score ${score(value)}` },
    svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" },
      svg("circle", { class: "rest", cx: 12, cy: 12, r: 9 }),
      svg("circle", { class: "part", cx: 12, cy: 12, r: 9, "stroke-dasharray": `${around * value} ${around}`, transform: "rotate(-90 12 12)" })),
    el("span", {}, score(value)));
}

const VERDICTS = { right: "right", wrong: "wrong", other: "another species", unsure: "unsure" };

export const verdict = (review) =>
  review && el("span", { class: `verdict ${review.verdict}` }, VERDICTS[review.verdict] || review.verdict);

export const speciesLink = (thing, extra = {}) =>
  el("a", { href: `#/species/${encodeURIComponent(thing.code)}`, ...extra }, nameOf(thing));

export function latin(thing) {
  const name = thing.scientific || scientificOf(thing.code);
  if (!name && state.named) return null;
  const node = el("i", { class: "latin", lang: "la" }, name);
  // The first view is drawn before the names are there.
  if (!name) document.addEventListener("names", () => { node.textContent = scientificOf(thing.code); }, { once: true });
  return node;
}

export function tile(event, { species = true } = {}) {
  return el("figure", { class: "tile" }, picture(event),
    el("figcaption", {},
      el("span", { class: "tile-name" }, species ? speciesLink(event) : el("a", { href: `#/events/${encodeURIComponent(event.id)}` }, `${day(event.start_utc)}, ${clock(event.start_utc)}`)),
      ring(event.score),
      el("span", { class: "tile-when" }, species ? `${clock(event.start_utc)} · ${event.station}` : event.station, verdict(event.review))));
}

export const empty = (title, ...more) =>
  el("div", { class: "empty" }, el("p", { class: "empty-title" }, title), more.length ? el("p", {}, more) : null);

export const loading = () => el("div", { class: "loading", role: "status" }, el("span", { class: "visually-hidden" }, "Loading"));

export const fault = (error, again) =>
  el("div", { class: "fault", role: "alert" }, el("p", {}, error.message),
    again && el("button", { class: "button", type: "button", onclick: again }, "Try again"));

export const heading = (title, note, ...tools) =>
  el("header", { class: "view-head" }, el("div", {}, el("h1", { tabindex: -1 }, title), note && el("p", { class: "note" }, note)),
    tools.length ? el("div", { class: "tools" }, tools) : null);

export const field = (label, control, kind = "") => el("label", { class: "field " + kind }, el("span", {}, label), control);

export const searchBox = (label, oninput) =>
  el("label", { class: "search" }, el("span", { class: "visually-hidden" }, label), icon("search"),
    el("input", { type: "search", placeholder: label, autocomplete: "off", spellcheck: "false", oninput: (event) => oninput(event.target.value) }));

// A row of choices of which one is on.
export function choice(label, options, chosen, onchoose) {
  const group = el("div", { class: "choice", role: "group", "aria-label": label });
  const draw = (now) => group.replaceChildren(...options.map(([value, text]) =>
    el("button", { type: "button", "aria-pressed": String(value === now), onclick: () => { draw(value); onchoose(value); group.querySelector("[aria-pressed=true]").focus(); } }, text)));
  draw(chosen);
  return group;
}
