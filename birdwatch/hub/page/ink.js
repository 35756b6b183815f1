// The colours of spectrograms: ink on paper by day, dawn light by night. One table serves the canvas and the pictures.

import { svg } from "./dom.js";
import { isDark } from "./state.js";

const PAPER = [[251, 247, 237], [226, 228, 207], [158, 187, 151], [62, 122, 88], [25, 72, 55], [8, 30, 25]];
const NIGHT = [[11, 17, 21], [15, 39, 42], [33, 92, 75], [116, 168, 96], [240, 203, 112], [255, 248, 224]];

const stops = () => (isDark() ? NIGHT : PAPER);

// 256 colours as the bytes of an ImageData pixel.
export function table() {
  const ramp = stops();
  const out = new Uint8ClampedArray(256 * 4);
  for (let level = 0; level < 256; level++) {
    // What is near the noise stays near the ground, so that songs stand out.
    const at = Math.pow(level / 255, 1.25) * (ramp.length - 1);
    const low = Math.min(Math.floor(at), ramp.length - 2);
    for (let part = 0; part < 3; part++)
      out[level * 4 + part] = ramp[low][part] + (ramp[low + 1][part] - ramp[low][part]) * (at - low);
    out[level * 4 + 3] = 255;
  }
  return out;
}

// A filter that maps the gray of pictures onto the same colours; `style.css` names it.
export function filter() {
  const colours = table();
  const values = (part) => Array.from({ length: 17 }, (_, i) => (colours[Math.round((i / 16) * 255) * 4 + part] / 255).toFixed(3)).join(" ");
  return svg("svg", { class: "hidden-filter", "aria-hidden": "true", width: 0, height: 0 },
    svg("filter", { id: "ink", "color-interpolation-filters": "sRGB" },
      svg("feColorMatrix", { type: "saturate", values: 0 }),
      svg("feComponentTransfer", {},
        svg("feFuncR", { type: "table", tableValues: values(0) }),
        svg("feFuncG", { type: "table", tableValues: values(1) }),
        svg("feFuncB", { type: "table", tableValues: values(2) }))));
}
