/** What a pointer draws between going down and going up. Each is begun with its first place, and marks the raster by itself. */

import { Curve, rectangleOf, tracePart } from "./brushes.js";

/** A curve that follows the pointer; each move draws only its new parts. */
export class Freehand {
  #curve = new Curve();

  constructor(raster, place, ink) {
    Object.assign(this, { raster, ink });
    this.move(place);
  }

  move(place) {
    const parts = this.#curve.add(place);
    if (parts.length) this.raster.mark(parts, this.ink);
  }

  end() {
    if (this.#curve.tail.length) this.raster.mark(this.#curve.tail, this.ink);
  }

  /** Show where the curve will go on. */
  paint(context, colour) {
    if (this.ink.level && !this.ink.soft) paintParts(context, this.#curve.tail, colour);
  }
}

/** A straight line from where the pointer went down. */
export class Straight {
  constructor(raster, place, ink) {
    Object.assign(this, { raster, ink, from: place, to: place });
  }

  move(place) {
    this.to = { ...place, r: this.from.r };
  }

  end() {
    this.raster.mark([[this.from, this.to]], this.ink);
  }

  paint(context, colour) {
    paintParts(context, [[this.from, this.to]], colour);
  }
}

/** A filled rectangle between two corners, on whole pixels. */
export class Rectangle {
  constructor(raster, place, ink) {
    Object.assign(this, { raster, ink, from: whole(place), to: whole(place) });
  }

  move(place) {
    this.to = whole(place);
  }

  end() {
    this.raster.polygon(rectangleOf(this.from, this.to), this.ink);
  }

  paint(context, colour) {
    context.fillStyle = colour;
    context.fillRect(this.from.x, this.from.y, this.to.x - this.from.x, this.to.y - this.from.y);
  }
}

function whole({ x, y }) {
  return { x: Math.round(x), y: Math.round(y) };
}

function paintParts(context, parts, colour) {
  context.fillStyle = colour;
  context.beginPath();
  parts.forEach((part) => tracePart(context, part));
  context.fill();
}
