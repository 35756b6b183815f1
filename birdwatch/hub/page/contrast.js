// Levels against each band's noise floor and the loudest of late: a quiet garden and a loud one both fill the colours.

// Of 255 levels: what noise moves by around its floor, and the least range that is spread over the colours.
const ABOVE_NOISE = 7;
const LEAST_RANGE = 60;

export class Contrast {
  constructor(bands) {
    this.bands = bands;
    this.floor = null;
    this.peak = 0;
  }

  // A column of levels, each 0..255, as shades 0..255.
  shades(bytes) {
    this.floor ??= Float32Array.from(bytes);
    let loudest = 0;
    for (let band = 0; band < this.bands; band++) {
      const over = bytes[band] - this.floor[band];
      // What is steady becomes ground within seconds; a song is too short for that.
      this.floor[band] += over * (over > 0 ? 0.008 : 0.12);
      loudest = Math.max(loudest, over);
    }
    this.peak = Math.max(this.peak * 0.998, loudest, LEAST_RANGE);
    return bytes.map((byte, band) => Math.max(0, Math.min(255, (255 * (byte - this.floor[band] - ABOVE_NOISE)) / (0.95 * this.peak))));
  }
}
