// Stations: where each second went, over time; delay, model, version.

import { get } from "../api.js";
import { accounting, REASONS } from "../charts.js";
import { el, replace } from "../dom.js";
import { choice, empty, fault, heading, loading } from "../parts.js";
import { state, loadStations } from "../state.js";
import { ago, clock, count, date, decibels, day, duration, many } from "../words.js";

const SPANS = { day: [35, 86400], hour: [2, 3600] };

export async function show(main) {
  await loadStations();
  let step = "day";
  const list = el("div", { class: "stations" });
  const draw = () => replace(list, state.stations.map((one) => panel(one, step)));
  replace(main, heading("Stations", state.stations.length ? many(state.stations.length, "station") + ". Where each second went." : null,
    choice("Time shown", [["day", "5 weeks"], ["hour", "2 days"]], step, (value) => { step = value; draw(); })),
    state.stations.length ? list : empty("No station yet", "Name one when the hub starts: ", el("code", {}, "--station tcp://127.0.0.1:5570")));
  draw();
  return null;
}

function panel(one, step) {
  const chart = el("div", { class: "chart" }, loading());
  load(chart, one, step);
  const facts = [
    ["Level", typeof one.level_dbfs === "number" ? decibels(one.level_dbfs) : "–"],
    ["Delay", typeof one.latency_p95_ms === "number" ? `${Math.round(one.latency_p95_ms)} ms` : "–"],
    ["Model", one.model || "–"], ["Version", one.version || "–"],
    ["Source", one.device || "–"], ["Last message", one.last_seen_utc ? ago(one.last_seen_utc) : "never"],
    ["Lost messages", count(one.dropped || 0)], ["Unreadable", count(one.unreadable || 0)],
  ];
  return el("article", { class: "panel station" },
    el("header", {}, el("h2", {}, one.name), el("span", { class: `state ${one.state}` }, one.state === "connected" && one.listening ? one.listening : one.state), one.endpoint && one.endpoint !== one.name ? el("code", {}, one.endpoint) : null),
    one.reason || one.flags?.length ? el("p", { class: "why" }, [one.reason, ...(one.flags || [])].filter(Boolean).join("; ")) : null, chart,
    el("dl", { class: "facts small" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

async function load(chart, one, step) {
  const [days, span] = SPANS[step];
  const to = new Date();
  const from = new Date(to.getTime() - days * 86400e3);
  if (step === "day") from.setUTCHours(0, 0, 0, 0); else from.setUTCMinutes(0, 0, 0);
  try {
    const { rows } = await get(`stations/${encodeURIComponent(one.name)}/accounting`, { from: from.toISOString(), to: to.toISOString(), step });
    const by = new Map(rows.map((row) => [Date.parse(row.utc), row]));
    const all = [];
    for (let at = from.getTime(); at <= to.getTime(); at += span * 1000) all.push(by.get(at) || { utc: new Date(at).toISOString(), listened_s: 0, gaps: {} });
    const label = (row) => (step === "day" ? date(row.utc) : `${day(row.utc)} ${clock(row.utc)}`);
    const sums = new Map();
    for (const row of all) for (const [reason, seconds] of Object.entries(row.gaps)) sums.set(reason, (sums.get(reason) || 0) + seconds);
    const listened = all.reduce((sum, row) => sum + row.listened_s, 0);
    replace(chart, accounting(all, span, label),
      el("div", { class: "chart-axis", "aria-hidden": "true" }, [0, 0.25, 0.5, 0.75, 1].map((part) => el("span", {}, label(all[Math.min(all.length - 1, Math.round(part * (all.length - 1)))])))),
      el("ul", { class: "legend" }, el("li", {}, el("i", { class: "key listened" }), `listened ${duration(listened)}`),
        [...sums].sort((a, b) => b[1] - a[1]).map(([reason, seconds]) => el("li", {}, el("i", { class: `key gap-${REASONS.includes(reason) ? reason : "other"}` }), `${reason} ${duration(seconds)}`)),
        el("li", {}, el("i", { class: "key none" }), "not known")));
  } catch (error) {
    replace(chart, fault(error, () => load(chart, one, step)));
  }
}
