// What several views share: who is signed in, the stations, the chosen one, names in the chosen language.

import { get, session } from "./api.js";

const remembered = (key, otherwise) => {
  try { return localStorage.getItem("birdwatch." + key) ?? otherwise; } catch { return otherwise; }
};

export const state = {
  session: { version: "", public: false, signed_in: false, password_set: false },
  stations: [],
  station: remembered("station", ""),
  locale: remembered("locale", ""),
  theme: remembered("theme", ""),
  reviewer: remembered("reviewer", ""),
  names: {},
  scientific: {},
  named: false,
  zone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
};

export function remember(key, value) {
  state[key] = value;
  try { localStorage.setItem("birdwatch." + key, value); } catch { /* private windows may keep nothing */ }
}

export const nameOf = (thing) => state.names[thing.code] || thing.name || thing.code;
export const scientificOf = (code) => state.scientific[code] || "";
export const mayWrite = () => state.session.signed_in || !state.session.password_set;

export async function loadSession() { state.session = await session(); }

export async function loadStations({ quiet = false } = {}) {
  state.stations = (await get("stations", {}, { quiet })).stations;
  if (state.station && !state.stations.some((one) => one.name === state.station)) remember("station", "");
}

// The page preloads this very request (index.html), so that the live view needs no round trip of its own. It is made
// whichever view is opened, since browsers complain of what is preloaded and not used, and is only taken while it is new.
const LATEST = { limit: 60, sort: "-time" };
const NEW_MS = 5000;
const asked = performance.now();
let preloaded = get("events", LATEST, { quiet: true }).catch(() => null);

export async function latestEvents() {
  const found = state.station || performance.now() - asked > NEW_MS ? null : await preloaded;
  preloaded = null;
  return found ?? get("events", { station: state.station, ...LATEST });
}

export async function loadNames() {
  // Models bring thousands of names: only those who chose a language load them.
  const [labels, species] = await Promise.all([state.locale ? get("labels", { locale: state.locale }) : null, get("species")]);
  state.names = labels?.names || {};
  for (const one of species.species) state.scientific[one.code] = one.scientific || "";
  state.named = true;
  document.dispatchEvent(new Event("names"));
}

export function applyTheme() {
  if (state.theme) document.documentElement.dataset.theme = state.theme;
  else delete document.documentElement.dataset.theme;
  document.dispatchEvent(new Event("theme"));
}

export const isDark = () =>
  state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
