// The live picture: columns come in, the newest at the right; detections, gaps and the level are drawn with it.

import { Contrast } from "./contrast.js";
import { table } from "./ink.js";
import { isDark } from "./state.js";

const KEPT = 1200;
const FREQUENCIES = [500, 1000, 2000, 4000, 8000];
const mel = (hz) => 2595 * Math.log10(1 + hz / 700);
const FONT = '"Figtree", system-ui, sans-serif';

export class Spectrogram {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.picture = document.createElement("canvas");
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.clear();
    this.running = true;
    this.onedge = null;
    this.recolour = () => this.paintAll();
    document.addEventListener("theme", this.recolour);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.recolour);
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(canvas);
    this.resize();
    this.frame = requestAnimationFrame((now) => this.step(now));
  }

  clear() {
    this.bands = 0;
    this.newest = null;
    this.edge = null;
    this.marks = [];
    this.gaps = [];
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.watch.disconnect();
    document.removeEventListener("theme", this.recolour);
    this.scheme.removeEventListener("change", this.recolour);
  }

  resize() {
    const box = this.canvas.getBoundingClientRect();
    this.scale = Math.min(window.devicePixelRatio || 1, 2);
    this.width = Math.max(1, Math.round(box.width));
    this.height = Math.max(1, Math.round(box.height));
    this.canvas.width = this.width * this.scale;
    this.canvas.height = this.height * this.scale;
    this.perSecond = this.width < 560 ? 30 : 38;
    if (this.running) return;
    this.draw();
  }

  // `message`: utc of the first column, mels, columns, column_s, low_hz, high_hz, b64 (columns x mels bytes).
  push(message) {
    const bytes = Uint8Array.from(atob(message.b64), (char) => char.charCodeAt(0));
    const step = (message.column_s || 0.1) * 1000;
    if (message.mels !== this.bands || step !== this.step_ms) this.begin(message, step);
    const first = Math.round(Date.parse(message.utc) / step);
    if (this.newest !== null && (first < this.newest - KEPT || first > this.newest + KEPT)) this.begin(message, step);
    for (let lost = (this.newest ?? first - 1) + 1; lost < first; lost++) this.store(lost, null);
    for (let column = 0; column < message.columns; column++)
      this.store(first + column, bytes.subarray(column * this.bands, (column + 1) * this.bands));
    this.newest = Math.max(this.newest ?? 0, first + message.columns - 1);
    const target = this.newest * step;
    if (this.edge === null || Math.abs(target - this.edge) > 2500) this.edge = target;
  }

  begin(message, step) {
    const marks = this.marks;
    this.clear();
    this.marks = marks;
    this.bands = message.mels;
    this.step_ms = step;
    this.low = mel(message.low_hz || 150);
    this.high = mel(message.high_hz || 11000);
    this.contrast = new Contrast(this.bands);
    this.kept = new Uint8Array(KEPT * this.bands);
    this.there = new Uint8Array(KEPT);
    this.levels = new Float32Array(KEPT);
    this.picture.width = KEPT;
    this.picture.height = this.bands;
    this.paintAll();
  }

  store(column, bytes) {
    const at = ((column % KEPT) + KEPT) % KEPT;
    this.there[at] = bytes ? 1 : 0;
    this.levels[at] = 0;
    if (bytes) {
      this.kept.set(this.contrast.shades(bytes), at * this.bands);
      let sum = 0;
      for (const byte of bytes) sum += byte * byte;
      this.levels[at] = Math.sqrt(sum / this.bands) / 255;
    }
    this.paint(at);
  }

  paintAll() {
    this.colours = table();
    if (this.bands) for (let at = 0; at < KEPT; at++) this.paint(at);
    if (!this.running) this.draw();
  }

  paint(at) {
    const context = this.picture.getContext("2d");
    const pixels = context.createImageData(1, this.bands);
    for (let band = 0; band < this.bands; band++) {
      const level = this.there[at] ? this.kept[at * this.bands + band] : 0;
      pixels.data.set(this.colours.subarray(level * 4, level * 4 + 4), (this.bands - 1 - band) * 4);
    }
    context.putImageData(pixels, at, 0);
  }

  // A detection: joined to the last of its class where they touch.
  mark(found) {
    const start = Date.parse(found.start_utc), end = Date.parse(found.end_utc);
    const last = this.marks.findLast((one) => one.code === found.code && start <= one.end + 1500);
    if (last) {
      last.end = Math.max(last.end, end);
      last.score = Math.max(last.score, found.score);
    } else this.marks.push({ code: found.code, name: found.name, score: found.score, start, end, born: performance.now() });
    if (this.marks.length > 60) this.marks.shift();
  }

  gap(found) {
    const start = Date.parse(found.start_utc);
    this.gaps.push({ start, end: start + 1000 * found.seconds, reason: found.reason });
    if (this.gaps.length > 30) this.gaps.shift();
  }

  step(now) {
    this.frame = requestAnimationFrame((later) => this.step(later));
    const passed = now - (this.before ?? now);
    if (this.still.matches && passed < 1000) return;
    this.before = now;
    if (!this.running || this.edge === null) return;
    const target = this.newest * this.step_ms;
    // The picture moves with the clock; it is pulled gently to what has come, so that jitter is not seen.
    this.edge += Math.min(passed, 1000);
    this.edge += (target - this.edge) * Math.min(1, passed / 1500);
    this.draw();
    this.onedge?.(this.levelNow());
  }

  levelNow() {
    return this.newest === null ? 0 : this.levels[((this.newest % KEPT) + KEPT) % KEPT];
  }

  x(moment) { return this.width - ((this.edge - moment) / 1000) * this.perSecond; }

  draw() {
    const context = this.context;
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    const ground = this.colours ? this.colours.subarray(0, 3).join(",") : "11,17,21";
    context.fillStyle = `rgb(${ground})`;
    context.fillRect(0, 0, this.width, this.height);
    if (this.edge === null) return;
    this.ink = isDark() ? "236,230,210" : "24,46,36";
    this.drawPicture(context);
    this.drawAxes(context);
    this.drawGaps(context);
    this.drawMarks(context);
  }

  drawPicture(context) {
    const shown = Math.min(KEPT - 4, Math.ceil((this.width / this.perSecond) * (1000 / this.step_ms)) + 2);
    const wide = (this.step_ms / 1000) * this.perSecond;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    const first = this.newest - shown + 1;
    const left = ((first % KEPT) + KEPT) % KEPT;
    const before = Math.min(shown, KEPT - left);
    const at = this.x(first * this.step_ms);
    context.drawImage(this.picture, left, 0, before, this.bands, at, 0, before * wide, this.height);
    if (before < shown)
      context.drawImage(this.picture, 0, 0, shown - before, this.bands, at + before * wide - 0.5, 0, (shown - before) * wide, this.height);
  }

  drawAxes(context) {
    context.font = `500 11px ${FONT}`;
    context.textBaseline = "middle";
    context.textAlign = "left";
    for (const hz of FREQUENCIES) {
      const part = (mel(hz) - this.low) / (this.high - this.low);
      if (part < 0.04 || part > 0.97) continue;
      const y = this.height * (1 - part);
      context.fillStyle = `rgba(${this.ink},.09)`;
      context.fillRect(0, Math.round(y), this.width, 1);
      context.fillStyle = `rgba(${this.ink},.72)`;
      context.fillText(hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`, 14, y - 8);
    }
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    const oldest = this.edge - (this.width / this.perSecond) * 1000;
    for (let at = Math.ceil(oldest / 5000) * 5000; at < this.edge; at += 5000) {
      const x = this.x(at);
      if (x < 70 || x > this.width - 30) continue;
      const moment = new Date(at);
      context.fillStyle = `rgba(${this.ink},.62)`;
      context.fillRect(Math.round(x), this.height - 6, 1, 6);
      context.fillText(moment.toTimeString().slice(0, 8), x, this.height - 11);
    }
  }

  drawGaps(context) {
    for (const gap of this.gaps) {
      const from = this.x(gap.start), to = Math.min(this.width, this.x(gap.end));
      if (to < 0 || from > this.width) continue;
      context.save();
      context.beginPath();
      context.rect(from, 0, Math.max(2, to - from), this.height);
      context.clip();
      context.fillStyle = `rgba(${this.ink},.06)`;
      context.fillRect(from, 0, to - from, this.height);
      context.strokeStyle = `rgba(${this.ink},.22)`;
      for (let x = from - this.height; x < to; x += 9) {
        context.beginPath();
        context.moveTo(x, this.height);
        context.lineTo(x + this.height, 0);
        context.stroke();
      }
      context.restore();
      context.fillStyle = `rgba(${this.ink},.9)`;
      context.fillText(gap.reason, (Math.max(from, 0) + to) / 2, this.height / 2);
    }
  }

  // Names stand in lanes at the top, each over the stretch that it is about.
  drawMarks(context) {
    const lanes = [], shown = [];
    context.font = `600 13px ${FONT}`;
    context.textBaseline = "middle";
    context.textAlign = "left";
    for (const one of this.marks) {
      const from = this.x(one.start), to = Math.min(this.width - 3, this.x(one.end));
      if (to < -200 || from > this.width) continue;
      const text = `${one.name}  ${one.score.toFixed(2)}`;
      const wide = context.measureText(text).width + 20;
      const left = Math.max(Math.min(from, this.width - wide - 4), Math.min(6, to - wide));
      let lane = lanes.findIndex((end) => end < left);
      if (lane < 0) lane = lanes.length;
      lanes[lane] = Math.max(to, left + wide) + 6;
      if (lane > 3) continue;
      shown.push({ ...one, from, to, text, left, wide, y: 14 + lane * 34 });
    }
    // All shades before all names, so that no name is dimmed.
    for (const one of shown) this.drawShade(context, one);
    for (const one of shown) this.drawName(context, one);
  }

  drawShade(context, { born, from, to, y }) {
    const dark = isDark();
    const fresh = Math.min(1, (performance.now() - born) / 500);
    context.globalAlpha = fresh;
    const shade = context.createLinearGradient(0, y, 0, this.height);
    const tint = dark ? "240,203,112" : "200,96,40";
    shade.addColorStop(0, `rgba(${tint},${dark ? ".16" : ".13"})`);
    shade.addColorStop(1, `rgba(${tint},0)`);
    context.fillStyle = shade;
    context.fillRect(from, y, to - from, this.height - y);
    context.fillStyle = dark ? "#f0cb70" : "#a4431a";
    context.fillRect(from, y, 1.5, 30);
    context.fillRect(to - 1.5, y, 1.5, 30);
    context.fillRect(from, y, to - from, 2);
    context.globalAlpha = 1;
  }

  drawName(context, { born, text, left, wide, y }) {
    const dark = isDark();
    context.globalAlpha = Math.min(1, (performance.now() - born) / 500);
    context.fillStyle = dark ? "#f0cb70" : "#a4431a";
    context.beginPath();
    context.roundRect(left, y - 4, wide, 25, 7);
    context.fill();
    context.fillStyle = dark ? "#17130a" : "#fffaf0";
    context.fillText(text, left + 10, y + 9);
    context.globalAlpha = 1;
  }
}
