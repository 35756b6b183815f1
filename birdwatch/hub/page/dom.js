// Elements without markup in strings: what a station sends is always text, never HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "css") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "value" || name === "checked" || name === "indeterminate") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const el = (tag, props, ...children) => fill(document.createElement(tag), props, children);
export const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

const ICONS = {
  live: ["M4 12h2M8 7v10M12 4v16M16 8v8M20 11v2"],
  today: ["M12 3v2M5.6 5.6 7 7M3 12h2M19 12h2M17 7l1.4-1.4M7.5 16a4.5 4.5 0 1 1 9 0M2 16h20M6 20h12"],
  species: ["M3 17c4 .8 6-.7 6.800-4C10.700 9 13 6.500 16 6.500c1.600 0 2.600.7 3.300 1.700L22 9l-2.500 1.500C19.500 15.500 16 19 10.500 19c-2.700 0-5.200-.7-7.500-2z", "M10.500 19l-1 3M14 18.500l.5 3.500"],
  events: ["M4 6h16M4 12h16M4 18h10"],
  review: ["M4 12.500l5 5L20 6.500"],
  stations: ["M12 14v7M8 21h8", "M12 11.500a1.500 1.500 0 1 0 0 .01M8.500 15a5 5 0 0 1 0-7M15.500 8a5 5 0 0 1 0 7M6 17.500a9 9 0 0 1 0-12M18 5.500a9 9 0 0 1 0 12"],
  settings: ["M4 7h9M17 7h3M4 17h3M11 17h9", "M15 7m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M9 17m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0"],
  pause: ["M8 5v14M16 5v14"],
  resume: ["M7 4.500v15L19.500 12z"],
  left: ["M15 5l-7 7 7 7"],
  right: ["M9 5l7 7-7 7"],
  search: ["M11 5a6 6 0 1 0 0 12a6 6 0 1 0 0-12M15.500 15.500L20 20"],
  close: ["M6 6l12 12M18 6L6 18"],
  undo: ["M4 9h10a5 5 0 0 1 0 10H8M8 5L4 9l4 4"],
};

export const icon = (name) =>
  svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, ICONS[name].map((d) => svg("path", { d })));

export const mark = () =>
  svg("svg", { class: "mark", viewBox: "0 0 32 32", "aria-hidden": "true" },
    svg("path", { d: "M3 22c6 1.200 8.500-1 9.700-6C14 10 17.500 6 22 6c2.400 0 3.800 1 4.800 2.400L31 9.600l-3.800 2.200c0 7-5 13-13 13-4 0-7.600-1-11.200-2.800z" }),
    svg("circle", { class: "eye", cx: 22.600, cy: 10.200, r: 1.200 }));

export function replace(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
