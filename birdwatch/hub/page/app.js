// The shell: navigation, the choice of station, sign-in, and which view is shown. Views are loaded when they are opened.

import { el, icon, mark, replace } from "./dom.js";
import { filter } from "./ink.js";
import { notices } from "./notices.js";
import { fault, loading } from "./parts.js";
import { stop } from "./player.js";
import { applyTheme, loadNames, loadSession, loadStations, remember, state } from "./state.js";

const VIEWS = {
  live: ["Live", () => import("./views/live.js")],
  today: ["Today", () => import("./views/today.js")],
  species: ["Species", () => import("./views/species.js")],
  events: ["Events", () => import("./views/events.js")],
  review: ["Review", () => import("./views/review.js")],
  stations: ["Stations", () => import("./views/stations.js")],
  settings: ["Settings", () => import("./views/settings.js")],
};
const shell = document.querySelector("#shell");
const main = el("main", { id: "main" });
const places = el("nav", { class: "places", "aria-label": "Views" });
const pick = el("div", { class: "pick" });
let close = null;
let turn = 0;

function route() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  return { name: VIEWS[name] ? name : "live", rest, search: Object.fromEntries(new URLSearchParams(search)) };
}

function drawPlaces(current) {
  replace(places, Object.entries(VIEWS).map(([name, [title]]) =>
    el("a", { href: `#/${name}`, class: name, "aria-current": name === current ? "page" : null }, icon(name), el("span", {}, title))));
}

function drawPick() {
  if (state.stations.length < 2) return replace(pick);
  return replace(pick, el("label", {}, el("span", { class: "visually-hidden" }, "Station"),
    el("select", { onchange: (event) => { remember("station", event.target.value); open(); } },
      el("option", { value: "" }, "All stations"),
      state.stations.map((one) => el("option", { value: one.name, selected: one.name === state.station }, one.name)))));
}

async function open() {
  const mine = ++turn;
  const { name, rest, search } = route();
  close?.();
  close = null;
  stop();
  drawPlaces(name);
  document.title = `${VIEWS[name][0]} · birdwatch`;
  document.body.dataset.view = name;
  replace(main, loading());
  try {
    const view = await VIEWS[name][1]();
    if (mine !== turn) return;
    const closing = await view.show(main, { rest, search });
    if (mine !== turn) return closing?.();
    close = closing;
    if (mine > 1) main.querySelector("h1")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  } catch (error) {
    if (mine === turn) replace(main, el("h1", { class: "visually-hidden" }, VIEWS[name][0]), fault(error, open));
  }
}

async function signIn() {
  const { show } = await import("./views/login.js");
  turn++;
  close?.();
  close = null;
  document.body.dataset.view = "login";
  replace(shell, main);
  show(main, start);
}

async function start() {
  applyTheme();
  try {
    // Asked for together: where the stations are not for everybody, the session says so.
    const stations = loadStations({ quiet: true }).then(() => null, (error) => error);
    await loadSession();
    if (state.session.password_set && !state.session.signed_in && !state.session.public) return signIn();
    if (await stations) await loadStations();
  } catch (error) {
    return replace(shell, replace(main, el("h1", { class: "visually-hidden" }, "birdwatch"), fault(error, start)));
  }
  replace(shell,
    el("header", { class: "bar" }, el("a", { class: "brand", href: "#/live", "aria-label": "birdwatch, live" }, mark(), el("span", {}, "birdwatch")), pick, places), trouble, main);
  drawPick();
  drawFault();
  loadNames().then(() => { if (state.locale) open(); }, () => {});
  return open();
}

// What keeps the hub from storing concerns every view.
const trouble = el("p", { class: "fault trouble", role: "alert", hidden: true });

function drawFault() {
  trouble.hidden = !state.session.fault;
  trouble.textContent = state.session.fault ? `The hub does not store what comes: ${state.session.fault}` : "";
}

function drawFilter() {
  document.querySelector(".hidden-filter")?.remove();
  document.body.append(filter());
}

setInterval(() => { if (!document.hidden) loadSession().then(drawFault, () => {}); }, 60000);
document.body.append(notices());
drawFilter();
document.addEventListener("theme", drawFilter);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawFilter(); });
document.addEventListener("signed-out", () => { if (!state.session.public) signIn(); });
document.addEventListener("sign-in", signIn);
addEventListener("hashchange", open);
start();
