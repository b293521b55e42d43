/** A raster of classes: one label a pixel, 0 for none, else the class's id + 1; it is shown and saved in the classes' exact colours. */

import { boundsOf, visitPart, visitPolygon } from "./brushes.js";
import { regionAt } from "./pixels.js";
import { openCanvas, pixelsOf, pngOf } from "./raster.js";

const THINNEST = 0.6; // px of radius that leave no gap in a line of single pixels

export class LabelRaster {
  #labels;
  #image;

  /** `colours` are [red, green, blue] by class. */
  constructor(width, height, colours) {
    Object.assign(this, { width, height, colours });
    this.context = openCanvas(width, height);
    this.#labels = new Uint8Array(width * height);
    this.#image = new ImageData(width, height);
    /** The share of the pixels, 0 to 1, that had no class's colour in the picture that was taken last. */
    this.strange = 0;
  }

  mark(parts, ink) {
    const thick = ({ x, y, r }) => ({ x, y, r: Math.max(r, THINNEST) });
    for (const [from, to] of parts) visitPart([thick(from), thick(to)], this.width, this.height, (...row) => this.#setRow(ink.level, ...row));
    this.#show(boundsOf(parts, this.width, this.height));
  }

  polygon(points, ink) {
    visitPolygon(points, this.width, this.height, (...row) => this.#setRow(ink.level, ...row));
    this.#show();
  }

  /** Fill the pixels of the same class that join one. */
  fillAt(x, y, ink) {
    const region = regionAt(this.#labels, this.width, this.height, x, y);
    region.forEach((isIn, at) => isIn && this.#set(at, ink.level));
    this.#show();
  }

  clear() {
    this.#labels.fill(0);
    this.#image.data.fill(0);
    this.#show();
  }

  /** Every pixel gets the class whose colour is nearest; `strange` counts those that were not exact. */
  take(picture, fit) {
    const data = pixelsOf(picture, this.width, this.height, fit, { isSmooth: false });
    const known = new Map([[0, 0], ...this.colours.map((colour, id) => [codeOf(...colour), id + 1])]);
    const exact = new Set(known.keys());
    let strange = 0;
    for (let at = 0; at < this.#labels.length; at += 1) {
      const [red, green, blue, alpha] = data.subarray(4 * at, 4 * at + 4);
      const code = alpha < 128 ? 0 : codeOf(red, green, blue);
      if (!known.has(code)) known.set(code, this.#nearest(red, green, blue));
      if (!exact.has(code)) strange += 1;
      this.#set(at, known.get(code));
    }
    this.strange = strange / this.#labels.length;
    this.#show();
  }

  /** The label of a pixel; 0 outside. */
  labelAt(x, y) {
    return x >= 0 && y >= 0 && x < this.width && y < this.height ? this.#labels[y * this.width + x] : 0;
  }

  /** The share of each class that is in the picture, largest first: [{id, share}]. */
  shares() {
    const counts = new Uint32Array(this.colours.length + 1);
    for (const label of this.#labels) counts[label] += 1;
    const present = [...counts].map((count, label) => ({ id: label - 1, share: count / this.#labels.length }));
    return present.filter(({ id, share }) => id >= 0 && share > 0).sort((one, other) => other.share - one.share);
  }

  paint(context) {
    context.drawImage(this.context.canvas, 0, 0);
  }

  toBlob() {
    const copy = openCanvas(this.width, this.height);
    copy.fillRect(0, 0, this.width, this.height);
    copy.drawImage(this.context.canvas, 0, 0);
    return pngOf(copy.canvas);
  }

  #setRow(label, y, left, right) {
    for (let at = y * this.width + left; at <= y * this.width + right; at += 1) this.#set(at, label);
  }

  #set(at, label) {
    this.#labels[at] = label;
    const { data } = this.#image;
    const colour = this.colours[label - 1];
    for (let channel = 0; channel < 3; channel += 1) data[4 * at + channel] = colour?.[channel] ?? 0;
    data[4 * at + 3] = label ? 255 : 0;
  }

  #show({ x, y, width, height } = { x: 0, y: 0, width: this.width, height: this.height }) {
    this.context.putImageData(this.#image, 0, 0, x, y, width, height);
  }

  #nearest(red, green, blue) {
    const apart = ([r, g, b]) => (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
    const distances = [[0, 0, 0], ...this.colours].map(apart);
    return distances.indexOf(Math.min(...distances));
  }
}

function codeOf(red, green, blue) {
  return (red << 16) | (green << 8) | blue;
}
