// What a person says about an event: right, wrong, another species, unsure; and taking it back.

import { send } from "./api.js";
import { el } from "./dom.js";
import { say } from "./notices.js";
import { speciesBox } from "./species_box.js";
import { mayWrite, nameOf, state } from "./state.js";

export const VERDICTS = [["right", "Right", "y"], ["wrong", "Wrong", "n"], ["other", "Another species", "o"], ["unsure", "Unsure", "u"]];
const path = (event) => `events/${encodeURIComponent(event.id)}/review`;

export async function review(event, verdict, code = null) {
  const body = { verdict };
  if (code) body.code = code;
  if (state.reviewer) body.by = state.reviewer;
  await send("POST", path(event), body);
  return { ...event, review: { verdict, code, by: state.reviewer || null, at_utc: new Date().toISOString() } };
}

export async function undo(event) {
  await send("DELETE", path(event));
  return { ...event, review: null };
}

// Asks which species it was; resolves to a code, or to null where the question is dropped.
export function askSpecies(event) {
  return new Promise((resolve) => {
    let chosen = "";
    const { input, options } = speciesBox("", (code) => { chosen = code; go.disabled = !code; }, { placeholder: "Type a name", every: true });
    const go = el("button", { class: "button primary", type: "submit", disabled: true }, "It was this");
    const dialog = el("dialog", { "aria-labelledby": "which" },
      el("form", { onsubmit: (submitted) => { submitted.preventDefault(); if (chosen) { resolve(chosen); dialog.close(); } } },
        el("h2", { id: "which" }, "Which species?"), el("p", { class: "note" }, `Detected as ${nameOf(event)}.`),
        el("label", { class: "field" }, el("span", {}, "Species"), input), options,
        el("div", { class: "tools" }, go, el("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Cancel"))));
    dialog.addEventListener("close", () => { resolve(null); dialog.remove(); });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}

export function verdictButtons(event, onchange) {
  if (!mayWrite()) return el("p", { class: "note" }, el("button", { class: "link", type: "button", onclick: () => document.dispatchEvent(new Event("sign-in")) }, "Sign in"), " to review.");
  const act = async (work) => {
    try { const next = await work(); if (next) onchange(next); } catch (error) { say(error.message, "bad"); }
  };
  return el("div", { class: "verdicts" }, VERDICTS.map(([verdict, text]) => el("button", {
    class: `button ${verdict}`, type: "button", "aria-pressed": String(event.review?.verdict === verdict),
    onclick: () => act(async () => {
      const code = verdict === "other" ? await askSpecies(event) : null;
      return verdict === "other" && !code ? null : review(event, verdict, code);
    }),
  }, text)), event.review ? el("button", { class: "button quiet", type: "button", onclick: () => act(() => undo(event)) }, "Take back") : null);
}

