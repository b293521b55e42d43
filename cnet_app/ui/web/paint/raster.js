/**
 * Rasters in frame pixels that tools paint on. Every one of them has the same few methods:
 *   mark(parts, ink)          draw parts of a stroke (brushes.js)
 *   polygon(points, ink)      fill a shape
 *   fillAt(x, y, ink, tolerance)   fill the pixels that join one and are like it
 *   take(picture, fit)        show a picture instead of what is there
 *   clear(), paint(context)
 *   toBlob()                  a promise of the PNG of what is there now, whatever is drawn later
 * An ink is {level, soft}: a level from 0 to 255, and whether its border fades over the whole brush.
 */

import { boundsOf, between, tracePart } from "./brushes.js";
import { grow, inverted, regionAt, soften, withSoftBorder } from "./pixels.js";

const SOFT_STEP = 0.2; // of the radius, between two dabs of a soft brush
const SOFT_FLOW = 0.4; // of the ink in one of them
const SOFT_CORE = 0.35; // of the radius, where a dab does not fade yet

/** What lies on ink of one colour: level 0 is bare, 255 is covered. Saved as white on black. */
export class InkRaster {
  constructor(width, height, colour) {
    Object.assign(this, { width, height, colour });
    this.context = openCanvas(width, height);
  }

  mark(parts, ink) {
    this.#use(ink);
    if (ink.soft) dabAlong(this.context, parts, this.colour);
    else fillParts(this.context, parts);
  }

  polygon(points, ink) {
    this.#use(ink);
    fillPolygon(this.context, points);
  }

  fillAt(x, y, ink, tolerance) {
    const { width, height, levels } = this;
    const region = withSoftBorder(regionAt(levels, width, height, x, y, tolerance), levels, width, height);
    this.levels = levels.map((level, at) => (region[at] ? ink.level : level));
  }

  clear() {
    this.context.clearRect(0, 0, this.width, this.height);
  }

  invert() {
    this.levels = inverted(this.levels);
  }

  /** Grow by some pixels, or shrink where it is a negative number. */
  grow(radius) {
    this.levels = grow(this.levels, this.width, this.height, radius);
  }

  soften(radius) {
    this.levels = soften(this.levels, this.width, this.height, radius);
  }

  take(picture, fit) {
    this.levels = levelsOf(picture, this.width, this.height, fit);
  }

  /** How far each pixel is covered. */
  get levels() {
    return channelOf(this.context, 3);
  }

  set levels(levels) {
    const [red, green, blue] = rgbOf(this.colour);
    writePixels(this.context, (data, at, place) => {
      data[at] = red;
      data[at + 1] = green;
      data[at + 2] = blue;
      data[at + 3] = levels[place];
    });
  }

  paint(context) {
    context.drawImage(this.context.canvas, 0, 0);
  }

  toBlob() {
    const copy = openCanvas(this.width, this.height);
    copy.drawImage(this.context.canvas, 0, 0);
    fillBehind(copy, "source-in", "#fff");
    fillBehind(copy, "destination-over", "#000");
    return pngOf(copy.canvas);
  }

  #use({ level }) {
    this.context.globalCompositeOperation = level ? "source-over" : "destination-out";
    this.context.fillStyle = this.colour;
  }
}

/** A grey level a pixel, 255 at first, shown in the colours of a table: `colours(level)` is [red, green, blue, alpha]. */
export class GreyRaster {
  constructor(width, height, colours) {
    Object.assign(this, { width, height });
    this.context = openCanvas(width, height);
    this.shown = openCanvas(width, height);
    this.table = Array.from({ length: 256 }, (_, level) => colours(level));
    this.clear();
  }

  mark(parts, ink) {
    this.#use(ink);
    if (ink.soft) dabAlong(this.context, parts, this.context.fillStyle);
    else fillParts(this.context, parts);
    this.#show(boundsOf(parts, this.width, this.height));
  }

  polygon(points, ink) {
    this.#use(ink);
    fillPolygon(this.context, points);
    this.#show();
  }

  fillAt(x, y, ink, tolerance) {
    const { levels } = this;
    const region = regionAt(levels, this.width, this.height, x, y, tolerance);
    this.levels = levels.map((level, at) => (region[at] ? ink.level : level));
  }

  clear() {
    this.fillAll(255);
  }

  fillAll(level) {
    this.#use({ level });
    this.context.fillRect(0, 0, this.width, this.height);
    this.#show();
  }

  /** Turn every value into its opposite: 255 is 1, 128 is 0, 1 is -1. */
  invert() {
    this.levels = this.levels.map((level) => Math.min(256 - level, 255));
  }

  take(picture, fit) {
    this.levels = levelsOf(picture, this.width, this.height, fit, "#fff");
  }

  get levels() {
    return channelOf(this.context, 0);
  }

  set levels(levels) {
    writePixels(this.context, (data, at, place) => {
      data[at] = data[at + 1] = data[at + 2] = levels[place];
      data[at + 3] = 255;
    });
    this.#show();
  }

  paint(context) {
    context.drawImage(this.shown.canvas, 0, 0);
  }

  toBlob() {
    return pngOf(this.context.canvas);
  }

  #use({ level }) {
    this.context.fillStyle = `rgb(${level},${level},${level})`;
  }

  /** Bring what is shown up to date, where it changed. */
  #show(box = { x: 0, y: 0, width: this.width, height: this.height }) {
    if (!box.width || !box.height) return;
    const image = this.context.getImageData(box.x, box.y, box.width, box.height);
    for (let at = 0; at < image.data.length; at += 4) image.data.set(this.table[image.data[at]], at);
    this.shown.putImageData(image, box.x, box.y);
  }
}

/** A canvas whose pixels are read often. */
export function openCanvas(width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  return canvas.getContext("2d", { willReadFrequently: true });
}

/** The PNG of a canvas as it is now. */
export function pngOf(canvas) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The browser could not write the picture."))), "image/png");
  });
}

/** Where a picture lies in a frame as its fit brings it there: {x, y, width, height}. */
function placeOf(picture, width, height, fit) {
  if (fit === "stretch") return { x: 0, y: 0, width, height };
  const scale = (fit === "pad" ? Math.min : Math.max)(width / picture.width, height / picture.height);
  const [wide, high] = [picture.width * scale, picture.height * scale];
  return { x: (width - wide) / 2, y: (height - high) / 2, width: wide, height: high };
}

/** The pixels of a picture brought to a size, RGBA; `isSmooth` false keeps its colours as they are. */
export function pixelsOf(picture, width, height, fit, { isSmooth = true, around = null } = {}) {
  const context = openCanvas(width, height);
  context.imageSmoothingEnabled = isSmooth;
  context.imageSmoothingQuality = "high";
  const box = placeOf(picture, width, height, fit);
  context.drawImage(picture, box.x, box.y, box.width, box.height);
  if (around) fillBehind(context, "destination-over", around);
  return context.getImageData(0, 0, width, height).data;
}

/** How bright a picture is at each pixel; of one that is transparent in places, how opaque it is there. */
function levelsOf(picture, width, height, fit, around = "#000") {
  const covers = hasHoles(picture);
  const data = pixelsOf(picture, width, height, fit, { around: covers ? null : around });
  const levels = new Uint8Array(width * height);
  for (let at = 0; at < data.length; at += 4) {
    levels[at / 4] = covers ? data[at + 3] : (77 * data[at] + 150 * data[at + 1] + 29 * data[at + 2]) >> 8;
  }
  return levels;
}

function hasHoles(picture) {
  return channelOf(drawnAlone(picture), 3).some((alpha) => alpha < 255);
}

function drawnAlone(picture) {
  const context = openCanvas(picture.width, picture.height);
  context.drawImage(picture, 0, 0);
  return context;
}

function channelOf(context, channel) {
  const { width, height } = context.canvas;
  const { data } = context.getImageData(0, 0, width, height);
  const levels = new Uint8Array(width * height);
  for (let place = 0; place < levels.length; place += 1) levels[place] = data[4 * place + channel];
  return levels;
}

function writePixels(context, write) {
  const image = new ImageData(context.canvas.width, context.canvas.height);
  for (let place = 0; place < image.data.length / 4; place += 1) write(image.data, 4 * place, place);
  context.putImageData(image, 0, 0);
}

function fillBehind(context, operation, colour) {
  context.globalCompositeOperation = operation;
  context.fillStyle = colour;
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
}

function fillParts(context, parts) {
  context.beginPath();
  parts.forEach((part) => tracePart(context, part));
  context.fill();
}

function fillPolygon(context, points) {
  context.beginPath();
  points.forEach(({ x, y }) => context.lineTo(x, y));
  context.closePath();
  context.fill();
}

/** Dabs that fade from their middle to their border, close enough to be one stroke. */
function dabAlong(context, parts, colour) {
  for (const [from, to] of parts) {
    const apart = Math.hypot(to.x - from.x, to.y - from.y);
    const count = Math.max(1, Math.ceil(apart / Math.max(1, SOFT_STEP * to.r)));
    for (let index = 1; index <= count; index += 1) dab(context, between(from, to, index / count), colour);
  }
}

function dab(context, { x, y, r }, colour) {
  const [red, green, blue] = rgbOf(colour);
  const fade = context.createRadialGradient(x, y, 0, x, y, Math.max(r, 0.5));
  fade.addColorStop(SOFT_CORE, `rgba(${red},${green},${blue},${SOFT_FLOW})`);
  fade.addColorStop(1, `rgba(${red},${green},${blue},0)`);
  context.fillStyle = fade;
  context.fillRect(x - r, y - r, 2 * r, 2 * r);
  context.fillStyle = colour;
}

/** [red, green, blue] of "#rrggbb". */
function rgbOf(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}
