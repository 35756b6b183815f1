// Short messages at the edge of the page, read out by screen readers.

import { el } from "./dom.js";

const tray = el("div", { class: "notices", role: "status", "aria-live": "polite" });

export const notices = () => tray;

export function say(text, kind = "good", action = null) {
  const note = el("div", { class: `notice ${kind}` }, el("span", {}, text),
    action && el("button", { class: "link", type: "button", onclick: () => { note.remove(); action.run(); } }, action.label));
  tray.append(note);
  while (tray.children.length > 3) tray.firstChild.remove();
  setTimeout(() => note.remove(), 6000);
}
