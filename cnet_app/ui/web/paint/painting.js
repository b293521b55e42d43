/** What all tools that paint have in common: gestures, keys, the crosshair, saving. */

import { radiusOf } from "./brushes.js";
import { Freehand, Rectangle, Straight } from "./gestures.js";
import { chooseFile } from "../core/photo.js";
import { Refusal } from "../core/server.js";
import { Sheet } from "./sheet.js";
import { Store } from "../core/store.js";

const GESTURES = { brush: Freehand, erase: Freehand, line: Straight, rectangle: Rectangle };
const SIZED = ["brush", "erase", "line"];
const CLOSE_WITHIN = 8; // screen px from the first corner, where a click closes a polygon
const COVERED = ["result", "compare"]; // views that are not painted over
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
export const SIZES = { least: 1, most: 200 };

/**
 * A tool of the stage that paints on a sheet. What is different from one to the next:
 *   inkOf(isErasing)        the ink in use (raster.js)
 *   shade(isErasing)        the colour in which a shape is shown while it is drawn
 *   opacity                 of the raster over the stage
 *   paintBelow(context)     what lies below the raster instead of the stage's view; a result is shown until one paints again
 *   pick(x, y)              take what is at a point, where the tool can
 *   changed()               the raster shows something else than before
 *   panel()                 its options
 */
export class PaintTool {
  cursor = "crosshair";
  #gesture = null; // {kind, isErasing, step}: a pointer or the keyboard's pen is down
  #waiting = []; // pointer events that came while a picture was being loaded
  #hover = null;
  #crosshair = null;
  #corners = []; // of a polygon
  #ends = [];

  constructor(app, { id, hint, field, options }) {
    Object.assign(this, { app, id, hint });
    this.options = new Store({ mode: "brush", size: 12, tolerance: 96, isSoft: false, place: "", ...options });
    this.sheet = new Sheet(app, field, () => this.#loaded());
  }

  get opacity() {
    return 1;
  }

  /** Whether the stage shows a result that the tool would hide. */
  get isAside() {
    return Boolean(this.paintBelow) && !this.#gesture && COVERED.includes(this.app.store.state.view);
  }

  begin(stage) {
    this.stage = stage;
    if (this.paintBelow) this.app.show("map"); // what is seen when the tool is laid down
    this.sheet.open();
  }

  /** A stroke that is not finished is kept as it is, unless another layer was opened. */
  end() {
    if (this.#gesture && this.sheet.isCurrent) this.#finish();
    else if (this.#gesture) this.#giveUp();
    this.#forget();
    this.#ends.forEach((end) => end());
    this.#ends = [];
    this.sheet.close();
  }

  /** Follow a store for as long as the tool is in the hand. */
  follow(store, select, react) {
    this.#ends.push(store.on(select, react));
  }

  /** Take a brush, an eraser or another way to paint; returns true. */
  choose(mode) {
    this.#cancelShape();
    this.options.patch({ mode });
    this.stage?.redraw();
    return true;
  }

  /** Make the brush larger or smaller by a factor, and by a pixel at least. */
  resize(factor) {
    const { size } = this.options.state;
    const next = factor > 1 ? Math.max(size + 1, Math.round(size * factor)) : Math.min(size - 1, Math.round(size * factor));
    this.options.patch({ size: Math.min(Math.max(next, SIZES.least), SIZES.most) });
    this.stage?.redraw();
  }

  /** A pointer that is only passing by leaves the keyboard's pen where it is. */
  pointer(event) {
    if (this.#gesture?.kind === "keys") {
      if (event.type !== "down") return;
      this.#finish();
    }
    this.#crosshair = null;
    this.#hover = event.kind === "touch" && ["up", "cancel"].includes(event.type) ? null : event;
    if (this.isAside) {
      if (event.type === "down") this.app.show("map");
    } else if (this.sheet.isLoading) {
      if (event.type === "down" || this.#waiting.length) this.#waiting.push(event);
    } else if (event.type === "down") this.#down(event, event.kind);
    else if (this.#gesture?.kind === event.kind) this.#follow(event);
    this.stage.redraw();
  }

  /** Arrows move a crosshair, Space puts the pen down and lifts it, Enter fills, or closes a polygon; Escape gives up a shape. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.sheet.isLoading || this.isAside) return false;
    const taken = event.key in ARROWS ? this.#moveCrosshair(event) : this.#actAtCrosshair(event.key);
    if (taken) this.stage.redraw();
    return taken;
  }

  paint(context) {
    if (this.isAside) return;
    const { raster } = this.sheet;
    if (this.paintBelow) this.#paintGround(context);
    context.save();
    context.globalAlpha = this.opacity;
    context.beginPath();
    context.rect(0, 0, this.stage.frame.width, this.stage.frame.height);
    context.clip();
    raster?.paint(context);
    if (this.#gesture) this.#gesture.step.paint(context, this.shade(this.#gesture.isErasing));
    context.restore();
    this.#paintMarks(context);
  }

  /** Wipe the stage's view away, also the fraction of a pixel at its borders, and paint what the tool has there. */
  #paintGround(context) {
    context.save();
    context.resetTransform();
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    context.restore();
    this.paintBelow(context);
  }

  /** Change the raster as one step, such as by a button. */
  change(act) {
    if (!this.#canPaint()) return;
    act(this.sheet.raster);
    this.#save();
  }

  clear() {
    if (!this.#canPaint()) return;
    this.sheet.clear();
    this.#showChange();
  }

  /** Let the user choose a picture, and show it instead of what is there. */
  async load() {
    const file = await chooseFile();
    if (file) await this.app.attempt(async () => this.take(await decode(file)));
  }

  take(picture) {
    this.change((raster) => raster.take(picture, this.stage.frame.fit));
  }

  #canPaint() {
    if (!this.sheet.isOwned) this.app.say("There is no layer to paint on; choose a condition first.");
    return this.sheet.isOwned && this.sheet.isCurrent;
  }

  #down(event, kind) {
    if (!this.#canPaint() || this.#gesture) return;
    const { mode } = this.options.state;
    if (this.pick && (mode === "pick" || event.alt)) this.pick(Math.floor(event.x), Math.floor(event.y));
    else if (mode === "fill") this.#fill(event);
    else if (mode === "polygon") this.#addCorner(event);
    else this.#start(event, kind, event.shift && mode === "brush" ? "line" : mode);
  }

  #start(event, kind, mode) {
    const isErasing = mode === "erase" || Boolean(event.alt);
    const step = new GESTURES[mode](this.sheet.raster, this.#placeOf(event), this.inkOf(isErasing));
    this.#gesture = { kind, isErasing, step };
  }

  #follow(event) {
    if (event.type === "cancel") this.#giveUp();
    else {
      this.#gesture.step.move(this.#placeOf(event, event.type === "up"));
      if (event.type === "up") this.#finish();
    }
  }

  /** A pen that leaves the paper has no pressure any more; it ends at the width that it had. */
  #placeOf({ x, y, pressure = 1 }, isLast = false) {
    if (!isLast || pressure > 0) this.pressure = pressure;
    return { x, y, r: radiusOf(this.options.state.size, this.pressure) };
  }

  #finish() {
    this.#gesture.step.end();
    this.#gesture = null;
    this.#save();
  }

  #save() {
    this.sheet.save();
    this.#showChange();
  }

  #showChange() {
    this.changed?.();
    this.stage?.redraw();
  }

  #giveUp() {
    this.#gesture = null;
    this.sheet.revert();
  }

  #loaded() {
    this.#gesture = null;
    const events = this.#waiting;
    this.#waiting = [];
    events.forEach((event) => this.pointer(event));
    this.#showChange();
  }

  #forget() {
    this.#waiting = [];
    this.#hover = this.#crosshair = null;
    this.#cancelShape();
  }

  #fill({ x, y, alt }) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    const { width, height } = this.sheet.raster;
    if (column < 0 || row < 0 || column >= width || row >= height) return;
    this.change((raster) => raster.fillAt(column, row, this.inkOf(Boolean(alt)), this.options.state.tolerance));
  }

  #addCorner({ x, y }) {
    const [first] = this.#corners;
    const isClosing = this.#corners.length > 2 && Math.hypot(x - first.x, y - first.y) * this.stage.place.zoom <= CLOSE_WITHIN;
    if (isClosing) this.#closePolygon();
    else this.#corners = [...this.#corners, { x, y }];
  }

  #closePolygon() {
    const corners = this.#corners;
    this.#corners = [];
    this.change((raster) => raster.polygon(corners, this.inkOf(false)));
  }

  #cancelShape() {
    this.#corners = [];
  }

  #moveCrosshair({ key, shiftKey }) {
    const { width, height } = this.stage.frame;
    const [dx, dy] = ARROWS[key];
    const step = shiftKey ? 10 : 1;
    const at = this.#crosshair ?? { x: Math.floor(width / 2) + 0.5, y: Math.floor(height / 2) + 0.5 };
    const inside = (value, most) => Math.min(Math.max(value, 0.5), most - 0.5);
    this.#crosshair = { x: inside(at.x + dx * step, width), y: inside(at.y + dy * step, height) };
    this.#hover = null;
    if (this.#gesture?.kind === "keys") this.#gesture.step.move(this.#placeOf(this.#crosshair));
    this.#sayPlace();
    return true;
  }

  #actAtCrosshair(key) {
    const at = this.#crosshair;
    if (key === "Escape") return this.#escape();
    if (key === "Backspace" && this.#corners.length) this.#corners = this.#corners.slice(0, -1);
    else if (key === "Enter" && this.#corners.length > 2) this.#closePolygon();
    else if (key === "Enter" && at && !this.#gesture) this.#fill(at);
    else if (key === " " && at) this.#togglePen(at);
    else return false;
    this.#sayPlace();
    return true;
  }

  #togglePen(at) {
    if (this.#gesture?.kind === "keys") this.#finish();
    else this.#down(at, "keys");
  }

  #escape() {
    const isBusy = Boolean(this.#gesture || this.#corners.length);
    this.#cancelShape();
    if (this.#gesture) this.#giveUp();
    return isBusy;
  }

  #sayPlace() {
    const { x, y } = this.#crosshair ?? {};
    const pen = this.#gesture ? "pen down" : "pen up";
    this.options.patch({ place: this.#crosshair ? `x ${Math.floor(x)}, y ${Math.floor(y)}, ${pen}` : "" });
  }

  /** The polygon so far, the size of the brush, the crosshair. */
  #paintMarks(context) {
    const { zoom } = this.stage.place;
    const at = this.#crosshair ?? this.#hover;
    const { mode, size } = this.options.state;
    if (this.#corners.length) outline(context, zoom, () => [...this.#corners, ...(at ? [at] : [])].forEach(({ x, y }) => context.lineTo(x, y)));
    if (at && SIZED.includes(mode)) outline(context, zoom, () => context.arc(at.x, at.y, Math.max(size / 2, 1 / zoom), 0, 2 * Math.PI));
    if (this.#crosshair) outline(context, zoom, () => traceCross(context, at, 12 / zoom));
  }
}

function traceCross(context, { x, y }, arm) {
  context.moveTo(x - arm, y);
  context.lineTo(x + arm, y);
  context.moveTo(x, y - arm);
  context.lineTo(x, y + arm);
}

/** A thin line that shows on light and dark. */
function outline(context, zoom, trace) {
  for (const [width, colour] of [[3, "rgba(255,255,255,0.9)"], [1, "#111"]]) {
    context.beginPath();
    trace();
    context.lineWidth = width / zoom;
    context.strokeStyle = colour;
    context.stroke();
  }
}

async function decode(file) {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Refusal(`${file.name} is no picture that this browser can read; choose a PNG, JPEG or WebP.`);
  }
}
