/**
 * The stage: one canvas on which photo, map, preview and result lie in the same place, with pan and zoom, and on which the
 * tools draw. Everything on it is in pixels of the frame, the picture to be made.
 *
 * A tool is an object:
 *   id, hint         its name, and a sentence for the line below the canvas
 *   cursor           of CSS
 *   begin(stage), end()                    it becomes, or is no longer, the one in hand
 *   pointer(event)   {type: "down" | "move" | "up" | "cancel", x, y, pressure, kind: "mouse" | "pen" | "touch", shift, alt, ctrl}
 *   key(event)       a key of the focused canvas; returns whether it was taken
 *   paint(context)   draws over the stage; `context` is in frame pixels
 *   panel()          an element with its options, shown at the stage's left edge
 */

import { h } from "../core/dom.js";
import { fetchBlob } from "../core/server.js";
import { Before } from "./before.js";

const MARGIN = 16; // px around a picture that fits
const MAX_ZOOM = 16;
const CLOSED_PANEL = 64; // px
const PIXELS_FROM = 3; // screen px a picture px from which on pixels are shown as squares

export class Stage {
  #app;
  #context;
  #tool = null;
  #moving = null; // the pan that a pointer drags
  #held = null; // the canvas's box on the screen while a pointer is down
  #touches = new Map();
  #hasPen = false; // whether a pen is on the stage, where a hand may rest
  #isDirty = false;
  #photo = { key: null, bitmap: null };
  #result = { url: null, bitmap: null };
  #before;

  constructor(app) {
    this.#app = app;
    this.canvas = h("canvas", { class: "stage-canvas", tabindex: "0", role: "img", "aria-label": "Stage" });
    this.#context = this.canvas.getContext("2d");
    this.panel = h("div", { class: "stage-panel", hidden: true });
    this.empty = h("div", { class: "stage-empty" });
    this.views = h("div", { class: "stage-views" });
    this.caption = h("div", { class: "stage-caption" });
    this.element = h(
      "section",
      { class: "stage", "aria-label": "Stage" },
      this.views,
      h("div", { class: "stage-area" }, this.canvas, this.panel, this.empty),
      this.caption,
    );
    /** Where the frame's corner is on the canvas, and screen px a frame px. */
    this.place = { x: 0, y: 0, zoom: 1 };
    this.split = 0.5; // of the compare slider
    this.#listen();
    this.#follow();
  }

  get frame() {
    return this.#app.store.state.frame ?? { width: 512, height: 512 };
  }

  get tool() {
    return this.#tool;
  }

  /** Put a tool into the hand; null is the hand that moves the stage. */
  take(tool) {
    if (tool === this.#tool) return;
    this.#tool?.end?.();
    this.#tool = tool;
    tool?.begin?.(this);
    this.canvas.style.cursor = tool?.cursor ?? "grab";
    const panel = tool?.panel?.();
    this.panel.replaceChildren(...(panel ? [panel] : []));
    this.panel.hidden = !panel;
    if (this.isFitted !== false) this.fit();
    this.#app.store.patch({ tool: tool?.id ?? null });
    this.redraw();
  }

  /** Draw with the next frame of the screen. */
  redraw() {
    if (this.#isDirty) return;
    this.#isDirty = true;
    requestAnimationFrame(() => {
      this.#isDirty = false;
      this.#draw();
    });
  }

  /** Show the whole picture, in the room that a tool's panel leaves; while a pointer is down, once it is up. */
  fit() {
    this.isFitted = true;
    if (this.#held) return;
    const { left, width, height } = this.#room();
    const frame = this.frame;
    const zoom = Math.max(0.01, Math.min((width - 2 * MARGIN) / frame.width, (height - 2 * MARGIN) / frame.height));
    this.place = { zoom, x: left + (width - frame.width * zoom) / 2, y: (height - frame.height * zoom) / 2 };
    this.redraw();
  }

  /** The canvas without the panel at its left; on a phone, where it is below, without the line that is there when it is closed. */
  #room() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const { offsetLeft, offsetWidth, offsetHeight } = this.panel;
    if (this.panel.hidden) return { left: 0, width, height };
    if (offsetWidth > width / 2) return { left: 0, width, height: height - Math.min(offsetHeight, CLOSED_PANEL) };
    const left = Math.min(offsetLeft + offsetWidth, width / 2);
    return { left, width: width - left, height };
  }

  /** Zoom by a factor around a point of the canvas, its middle where none is given. */
  zoomBy(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const zoom = Math.min(Math.max(this.place.zoom * factor, 0.05), MAX_ZOOM);
    const change = zoom / this.place.zoom;
    this.place = { zoom, x: x - (x - this.place.x) * change, y: y - (y - this.place.y) * change };
    this.isFitted = false;
    this.redraw();
  }

  /** A point of the screen in frame pixels. */
  toFrame(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (clientX - box.left - this.place.x) / this.place.zoom, y: (clientY - box.top - this.place.y) / this.place.zoom };
  }

  #follow() {
    const { store } = this.#app;
    this.#before = new Before(this.#app, () => this.redraw());
    new ResizeObserver(() => this.#resize()).observe(this.canvas);
    new ResizeObserver(() => this.isFitted !== false && this.fit()).observe(this.panel);
    store.on(({ frame }) => [frame?.width, frame?.height], () => this.fit());
    store.on(({ draft }) => draft.photo?.key, (key) => this.#loadPhoto(key));
    store.on(({ shown }) => shown?.url, (url) => this.#loadResult(url));
    store.on(
      ({ view, maps, draft, preview, frame, coverage, scoreOverlay }) => [view, maps, draft.open, preview, frame, coverage, scoreOverlay],
      () => this.redraw(),
    );
  }

  #resize() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (this.#held) this.#hold();
    if (this.isFitted !== false) this.fit();
    this.#draw();
  }

  /** Keep the picture below the pointer that is down, although the canvas has another box. */
  #hold() {
    const box = this.canvas.getBoundingClientRect();
    this.place = { ...this.place, x: this.place.x + this.#held.left - box.left, y: this.place.y + this.#held.top - box.top };
    this.#held = box;
  }

  async #loadPhoto(key) {
    const blob = key ? await this.#app.blobs.get(key) : null;
    const bitmap = blob ? await createImageBitmap(blob) : null;
    if (this.#app.store.state.draft.photo?.key !== key) return;
    this.#photo = { key, bitmap };
    this.redraw();
  }

  async #loadResult(url) {
    const bitmap = url ? await this.#app.attempt(async () => createImageBitmap(await fetchBlob(url))) : null;
    if (this.#app.store.state.shown?.url !== url) return;
    this.#result = { url, bitmap: bitmap ?? null };
    this.redraw();
  }

  /** The photo as it is decoded; null where there is none. */
  get photo() {
    return this.#photo.bitmap;
  }

  /** The map of the open layer; null where there is none. */
  get map() {
    const { maps, draft } = this.#app.store.state;
    return maps[draft.open]?.bitmap ?? null;
  }

  /** The newest preview of a running job, else the shown picture. */
  get result() {
    return this.#app.store.state.preview?.bitmap ?? this.#result.bitmap;
  }

  #draw() {
    const context = this.#context;
    const ratio = devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(ratio * this.place.zoom, 0, 0, ratio * this.place.zoom, ratio * this.place.x, ratio * this.place.y);
    context.imageSmoothingEnabled = this.place.zoom < PIXELS_FROM;
    context.imageSmoothingQuality = "high";
    this.#drawView(context, this.#app.store.state.view);
    this.#tool?.paint?.(context);
  }

  #drawView(context, view) {
    if (view === "map") this.drawWhole(context, this.map);
    else if (view === "result") this.drawInside(context, this.result);
    else if (view === "score") this.drawInside(context, this.#app.store.state.scoreOverlay?.bitmap);
    else if (view === "overlay") this.#drawOverlay(context);
    else if (view === "compare") this.#drawCompare(context);
    else if (view === "coverage") this.drawWhole(context, this.#app.store.state.coverage);
    else this.drawPhoto(context);
  }

  #drawOverlay(context) {
    this.drawPhoto(context);
    if (!this.map) return;
    context.save();
    context.globalAlpha = 0.6;
    this.drawWhole(context, this.map);
    context.restore();
  }

  #drawCompare(context) {
    const { width, height } = this.frame;
    if (this.#before.bitmap) this.drawInside(context, this.#before.bitmap);
    else if (this.map) this.drawWhole(context, this.map);
    else this.drawPhoto(context);
    context.save();
    context.beginPath();
    context.rect(width * this.split, 0, width * (1 - this.split), height);
    context.clip();
    this.drawInside(context, this.result);
    context.restore();
    context.fillStyle = "#fff";
    context.fillRect(width * this.split - 1 / this.place.zoom, 0, 2 / this.place.zoom, height);
  }

  /** Draw a picture over the whole frame. */
  drawWhole(context, bitmap) {
    if (bitmap) context.drawImage(bitmap, 0, 0, this.frame.width, this.frame.height);
  }

  /** Draw a picture inside the frame: the whole of it where it has the frame's aspect, but for the rounding of small previews. */
  drawInside(context, bitmap) {
    if (!bitmap) return;
    const { width, height } = this.frame;
    const scale = Math.min(width / bitmap.width, height / bitmap.height);
    const [wide, high] = [bitmap.width * scale, bitmap.height * scale];
    if (wide > 0.98 * width && high > 0.98 * height) this.drawWhole(context, bitmap);
    else context.drawImage(bitmap, (width - wide) / 2, (height - high) / 2, wide, high);
  }

  /** Draw the photo as the frame's fit brings it there: cropped, padded or stretched. */
  drawPhoto(context) {
    const { width, height, fit } = this.frame;
    const photo = this.#photo.bitmap;
    if (!photo) return;
    if (fit === "stretch") {
      this.drawWhole(context, photo);
      return;
    }
    const scale = (fit === "pad" ? Math.min : Math.max)(width / photo.width, height / photo.height);
    const wide = photo.width * scale;
    const high = photo.height * scale;
    context.save();
    context.beginPath();
    context.rect(0, 0, width, height);
    context.clip();
    context.fillRect(0, 0, width, height);
    context.drawImage(photo, (width - wide) / 2, (height - high) / 2, wide, high);
    context.restore();
  }

  #listen() {
    const { canvas } = this;
    canvas.style.touchAction = "none";
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, (event) => this.#up(event));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (this.#tool?.key?.(event)) event.preventDefault();
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** The middle and right buttons, and two fingers, move the stage whatever is in the hand. */
  #down(event) {
    if (this.#isPalm(event)) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.#held ??= this.canvas.getBoundingClientRect();
    if (event.pointerType === "pen") this.#hasPen = true;
    if (event.pointerType === "touch") this.#touches.set(event.pointerId, event);
    if (this.#touches.size === 2) {
      this.#send("cancel", event);
      this.#moving = null;
    } else if (event.button > 0 || !this.#tool || this.spaceHeld) {
      this.#moving = { x: event.clientX, y: event.clientY };
      if (this.#app.store.state.view === "compare" && event.button === 0) this.#slide(event);
    } else this.#send("down", event);
  }

  #isPalm({ pointerType, pointerId }) {
    return this.#hasPen && pointerType === "touch" && !this.#touches.has(pointerId);
  }

  #move(event) {
    if (this.#isPalm(event)) return;
    if (this.#touches.has(event.pointerId)) {
      const before = [...this.#touches.values()];
      this.#touches.set(event.pointerId, event);
      if (this.#touches.size === 2) this.#pinch(before, [...this.#touches.values()]);
      if (this.#touches.size > 1) return;
    }
    if (!this.#moving) {
      for (const part of event.getCoalescedEvents?.() ?? [event]) this.#send("move", part);
      return;
    }
    if (this.#app.store.state.view === "compare" && !this.#tool && event.buttons === 1) this.#slide(event);
    else this.#pan(event.clientX - this.#moving.x, event.clientY - this.#moving.y);
    this.#moving = { x: event.clientX, y: event.clientY };
  }

  #up(event) {
    if (this.#isPalm(event)) return;
    if (event.pointerType === "pen") this.#hasPen = false;
    this.#touches.delete(event.pointerId);
    if (this.#moving) this.#moving = null;
    else this.#send(event.type === "pointerup" ? "up" : "cancel", event);
    if (this.#touches.size > 0) return;
    this.#held = null;
    if (this.isFitted !== false) this.fit();
  }

  #send(type, event) {
    if (!this.#tool?.pointer) return;
    const { shiftKey: shift, altKey: alt, ctrlKey: ctrl, pointerType: kind, pressure } = event;
    this.#tool.pointer({ type, ...this.toFrame(event.clientX, event.clientY), pressure: kind === "pen" ? pressure : 1, kind, shift, alt, ctrl });
  }

  #pan(dx, dy) {
    this.place = { ...this.place, x: this.place.x + dx, y: this.place.y + dy };
    this.isFitted = false;
    this.redraw();
  }

  #pinch([one, two], [first, second]) {
    const apart = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    const middle = (a, b) => ({ x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2 });
    const from = middle(one, two);
    const to = middle(first, second);
    const box = this.canvas.getBoundingClientRect();
    this.#pan(to.x - from.x, to.y - from.y);
    this.zoomBy(apart(first, second) / Math.max(apart(one, two), 1), to.x - box.left, to.y - box.top);
  }

  #slide(event) {
    this.split = Math.min(Math.max(this.toFrame(event.clientX, event.clientY).x / this.frame.width, 0), 1);
    this.redraw();
  }

  #wheel(event) {
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    if (event.ctrlKey || !event.shiftKey) this.zoomBy(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
    else this.#pan(-event.deltaY, 0);
  }
}

