// A field in which a species is found by typing: the browser's own list of suggestions, which phones and readers know.

import { get } from "./api.js";
import { el } from "./dom.js";
import { nameOf, state } from "./state.js";

const known = new Map();

// Every species that was detected, or with `every` each label of the model, as [{code, text}], by name.
export async function species(every) {
  const key = `${state.locale} ${every}`;
  if (known.has(key)) return known.get(key);
  const [seen, labels] = await Promise.all([get("species"), get("labels", { locale: state.locale, every: every || null })]);
  const rows = new Map(Object.entries(labels.names || {}).map(([code, name]) => [code, { code, text: name }]));
  for (const one of seen.species) rows.set(one.code, { code: one.code, text: nameOf(one) });
  const sorted = [...rows.values()].sort((a, b) => a.text.localeCompare(b.text));
  known.set(key, sorted);
  return sorted;
}

let number = 0;

export function speciesBox(code, onchoose, { placeholder = "Any species", every = false } = {}) {
  const id = `species-${++number}`;
  const options = el("datalist", { id });
  const input = el("input", { list: id, placeholder, autocomplete: "off", spellcheck: "false" });
  const find = (rows) => rows.find((row) => row.text.toLowerCase() === input.value.trim().toLowerCase());
  const ready = species(every).then((rows) => {
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
