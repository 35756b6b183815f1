// Live: the moving spectrogram with detections on it, the last species large, the latest events with picture and sound.

import { el, icon, replace } from "../dom.js";
import { LiveStream } from "../live_stream.js";
import { empty, fault, latin, ring, speciesLink, tile } from "../parts.js";
import { Spectrogram } from "../spectrogram.js";
import { latestEvents, nameOf, state } from "../state.js";
import { ago, count, decibels, many } from "../words.js";

const SHOWN = 12;

export async function show(main) {
  const chosen = state.stations.find((one) => one.name === state.station) ||
    state.stations.find((one) => one.state === "connected") || state.stations[0];
  if (!chosen) {
    replace(main, el("h1", { class: "visually-hidden" }, "Live"), empty("No station yet", "Name one when the hub starts: ", el("code", {}, "birdwatch hub --station tcp://127.0.0.1:5570")));
    return null;
  }
  const view = new Live(main, chosen);
  await view.load();
  return () => view.close();
}

class Live {
  constructor(main, station) {
    this.station = station;
    this.seen = new Map();
    this.events = [];
    this.build(main);
    this.spectrogram = new Spectrogram(this.canvas);
    this.spectrogram.onedge = (level) => this.level.style.setProperty("--level", Math.min(1, level * 1.6).toFixed(3));
    this.stream = new LiveStream(station.name, {
      open: () => this.online(true),
      lost: () => this.online(false),
      spectrum: (data) => { if (data.station === station.name) { this.spectrogram.push(data); this.wait.hidden = true; } },
      detection: (data) => this.detected(data),
      event: (data) => this.ended(data),
      gap: (data) => { if (data.station === station.name) this.spectrogram.gap(data); },
      status: (data) => { if ((data.name || data.station) === station.name) this.status(data); },
    });
    this.timer = setInterval(() => this.refreshTimes(), 5000);
  }

  build(main) {
    this.canvas = el("canvas", { class: "spectrogram", role: "img", "aria-label": `Moving spectrogram of ${this.station.name}; the detections are listed below it` });
    this.wait = el("p", { class: "wait" }, "Waiting for sound");
    this.level = el("span", { class: "level", "aria-hidden": "true" }, Array.from({ length: 5 }, () => el("i")));
    this.facts = el("p", { class: "station-facts" });
    this.now = el("div", { class: "now" });
    this.pause = el("button", { class: "round", type: "button", "aria-label": "Pause the picture", onclick: () => this.toggle() }, icon("pause"));
    this.list = el("div", { class: "tiles" });
    this.tally = el("ol", { class: "tally" });
    this.spoken = el("p", { class: "visually-hidden", "aria-live": "polite" });
    replace(main,
      el("section", { class: "stage", "aria-label": "Live spectrogram" },
        el("div", { class: "stage-head" },
          el("div", {}, el("h1", { tabindex: -1 }, this.station.name), this.facts), this.level, this.pause),
        el("div", { class: "canvas-box" }, this.canvas, this.wait), this.now, this.spoken),
      el("div", { class: "columns" },
        el("section", { "aria-labelledby": "latest" }, el("h2", { id: "latest" }, "Latest events"), this.list),
        el("section", { class: "side", "aria-labelledby": "hour" }, el("h2", { id: "hour" }, "The last hour"), this.tally)));
    this.status(this.station);
  }

  async load() {
    try {
      const found = await latestEvents();
      // What ended while this was asked for is already here.
      const here = new Set(this.events.map((one) => one.id));
      this.events = [...this.events, ...found.events.filter((one) => !here.has(one.id))];
      this.drawEvents();
      this.drawTally();
      if (this.events[0] && !this.current) this.last(this.events[0]);
      else if (!this.current) replace(this.now, el("p", { class: "note" }, "Nothing detected yet."));
    } catch (error) {
      replace(this.list, fault(error, () => this.load()));
    }
  }

  status(sent) {
    // The first is a row of the stations; later ones bring what changed.
    const changed = sent.name ? {} : { state: "connected", listening: sent.state };
    const row = (this.station = { ...this.station, ...sent, ...changed });
    const level = typeof row.level_dbfs === "number" ? decibels(row.level_dbfs) : null;
    const delay = typeof row.latency_p95_ms === "number" ? `${Math.round(row.latency_p95_ms)} ms delay` : null;
    replace(this.facts, el("span", { class: `state ${row.state}` }, row.state === "connected" && row.listening ? row.listening : row.state), [row.reason, level, delay, row.model].filter(Boolean).map((text) => el("span", {}, text)));
    if (row.state !== "connected") this.wait.textContent = row.state === "lost" ? "The station does not answer" : "The station is silent";
  }

  online(on) { this.canvas.parentNode.classList.toggle("offline", !on); }

  detected(data) {
    if (data.station !== this.station.name) return;
    this.spectrogram.mark({ ...data, name: nameOf(data) });
    // Of several at once the one with the highest score stays.
    const kept = this.current && this.current.code !== data.code && this.current.score > data.score && Date.parse(data.end_utc) - Date.parse(this.current.end_utc) < 4000;
    if (!kept) this.last(data);
  }

  ended(data) {
    if (state.station && data.station !== state.station) return;
    if (this.events.some((one) => one.id === data.id)) this.events = this.events.filter((one) => one.id !== data.id);
    this.events.unshift(data);
    this.events.length = Math.min(this.events.length, 200);
    this.drawEvents();
    this.drawTally();
  }

  last(data) {
    const before = this.current;
    this.current = data;
    this.when = el("span", { class: "when" }, ago(data.end_utc));
    replace(this.now, el("p", { class: "now-name" }, speciesLink(data)), latin(data),
      el("p", { class: "now-facts" }, ring(data.score), this.when));
    if (before && before.code !== data.code) this.spoken.textContent = `${nameOf(data)}, score ${data.score}`;
  }

  drawEvents() {
    // Only new tiles are made, so that one that plays goes on playing.
    const nodes = this.events.slice(0, SHOWN).map((event) => {
      const key = event.id + JSON.stringify(event.review);
      if (!this.seen.has(key)) this.seen.set(key, tile(event));
      return this.seen.get(key);
    });
    for (const [key, node] of this.seen) if (!nodes.includes(node)) this.seen.delete(key);
    if (!nodes.length) return replace(this.list, empty("No events yet"));
    nodes.forEach((node, at) => { if (this.list.children[at] !== node) this.list.insertBefore(node, this.list.children[at] || null); });
    while (this.list.children.length > nodes.length) this.list.lastChild.remove();
    return null;
  }

  drawTally() {
    const since = Date.now() - 3600e3;
    const recent = this.events.filter((one) => Date.parse(one.start_utc) > since);
    const counts = new Map();
    for (const one of recent) {
      const row = counts.get(one.code) || { code: one.code, name: one.name, n: 0 };
      row.n += 1;
      counts.set(one.code, row);
    }
    const rows = [...counts.values()].sort((a, b) => b.n - a.n).slice(0, 12);
    if (!rows.length) return replace(this.tally, el("li", { class: "note" }, "No events in the last hour."));
    return replace(this.tally, rows.map((row) =>
      el("li", { css: { "--part": row.n / rows[0].n } }, speciesLink(row), el("b", {}, count(row.n)), el("span", { class: "visually-hidden" }, many(row.n, "event")))));
  }

  refreshTimes() {
    if (this.current && this.when) this.when.textContent = ago(this.current.end_utc);
  }

  toggle() {
    const running = (this.spectrogram.running = !this.spectrogram.running);
    replace(this.pause, icon(running ? "pause" : "resume"));
    this.pause.setAttribute("aria-label", running ? "Pause the picture" : "Go on with the picture");
  }

  close() {
    clearInterval(this.timer);
    this.stream.close();
    this.spectrogram.stop();
  }
}
