// A field in which a species is found by typing: the browser's own list of suggestions, which phones and readers know.

import { get } from "./api.js";
import { el } from "./dom.js";
import { nameOf, state } from "./state.js";

let known = null;

// Every species that the hub or its models name, as [{code, text}], by name.
async function species() {
  if (known && known.locale === state.locale) return known.rows;
  const [seen, labels] = await Promise.all([get("species"), get("labels", { locale: state.locale })]);
  const rows = new Map(Object.entries(labels.names || {}).map(([code, name]) => [code, { code, text: name }]));
  for (const one of seen.species) rows.set(one.code, { code: one.code, text: nameOf(one) });
  known = { locale: state.locale, rows: [...rows.values()].sort((a, b) => a.text.localeCompare(b.text)) };
  return known.rows;
}

let number = 0;

export function speciesBox(code, onchoose, placeholder = "Any species") {
  const id = `species-${++number}`;
  const options = el("datalist", { id });
  const input = el("input", { list: id, placeholder, autocomplete: "off", spellcheck: "false" });
  const find = (rows) => rows.find((row) => row.text.toLowerCase() === input.value.trim().toLowerCase());
  const ready = species().then((rows) => {
    options.append(...rows.map((row) => el("option", { value: row.text })));
    const chosen = rows.find((row) => row.code === code);
    if (chosen) input.value = chosen.text;
    return rows;
  }, () => []);
  input.addEventListener("change", async () => {
    const found = find(await ready);
    input.setCustomValidity(found || !input.value.trim() ? "" : "Choose a species from the list.");
    if (found || !input.value.trim()) onchoose(found ? found.code : "");
    else input.reportValidity();
  });
  return { input, options };
}
