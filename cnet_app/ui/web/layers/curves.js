/** The range bar over the steps, and the editor of a curve that is drawn by hand. */

import {
  MOST_POINTS, PRESETS, TOP, addPoint, clamp, drawOver, movePoint, parsePoints, stepsWithin, valueAt, writePoints,
} from "./curve_points.js";
import { h, setProperty } from "../core/dom.js";

const WIDTH = 300;
const HEIGHT = 112;
const INSET = 8; // room around the curve, for points at its ends
const REACH = { mouse: 12, pen: 14, touch: 24 }; // screen px around a point in which it is taken
const STILL = 5; // screen px that a click may move
const SAMPLES = 120;
const SMALL_STEP = 0.05;
const LARGE_STEP = 0.25;

/** Build an SVG element; properties as for dom.js `h`, all others as attributes. */
function svg(tag, props = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class") element.setAttribute("class", value);
    else setProperty(element, name, value);
  }
  element.append(...children);
  return element;
}

/** A small drawing of numbers from left to right, such as a mode's factors; the largest reaches the top. */
export function smallCurve(values, width = 48, height = 16) {
  const most = Math.max(1, ...values);
  const across = values.length > 1 ? (width - 2) / (values.length - 1) : 0;
  const points = values.map((value, index) => `${1 + index * across},${height - 1 - (value / most) * (height - 2)}`);
  return svg(
    "svg",
    { class: "small-curve", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    svg("polyline", { points: points.join(" ") }),
  );
}

/** The values of a curve of points, for smallCurve. */
export function sampled(points, count = 24) {
  return Array.from({ length: count }, (_, index) => valueAt(points, index / (count - 1)));
}

/**
 * One bar with two handles for the steps in which a layer steers. `onchange({begin, end})`; `element.show({begin, end, steps})`.
 * The handles stop at each other and cannot cross.
 */
export function rangeBar({ label, names, onchange }) {
  let now = { begin: 0, end: 1, steps: 20 };
  const change = (which, value) => {
    const rounded = Number(value.toFixed(2));
    const { begin, end } = now;
    const next = which === "begin" ? { begin: clamp(rounded, 0, end), end } : { begin, end: clamp(rounded, begin, 1) };
    if (next.begin !== begin || next.end !== end) onchange(next);
  };
  const handles = ["begin", "end"].map((which, index) =>
    rangeHandle(names[index], (event) => rangeKey(event, now[which], (value) => change(which, value))),
  );
  const span = h("span", { class: "range-span" });
  const track = h("div", { class: "range-track" }, span, handles);
  const text = h("output", { class: "range-text" });
  const element = h("div", { class: "range", role: "group", "aria-label": label }, h("span", { class: "range-name" }, label), text, track);
  dragRange(track, handles, () => now, change);
  element.show = (values) => {
    now = values;
    [values.begin, values.end].forEach((value, index) => showHandle(handles[index], value, values, index));
    Object.assign(span.style, { left: percent(values.begin), right: percent(1 - values.end) });
    text.value = rangeText(values);
  };
  return element;
}

function rangeHandle(name, onkeydown) {
  const role = { role: "slider", tabindex: "0", "aria-label": name, "aria-orientation": "horizontal" };
  return h("span", { class: "range-handle", ...role, onkeydown });
}

function showHandle(handle, value, { begin, end, steps }, index) {
  handle.style.left = percent(value);
  const [lowest, highest] = index ? [begin, 1] : [0, end];
  setProperty(handle, "aria-valuemin", Math.round(lowest * 100));
  setProperty(handle, "aria-valuemax", Math.round(highest * 100));
  setProperty(handle, "aria-valuenow", Math.round(value * 100));
  setProperty(handle, "aria-valuetext", `${percent(value)}, ${stepText(begin, end, steps)}`);
}

function rangeKey(event, value, set) {
  const step = event.shiftKey ? 0.01 : SMALL_STEP;
  const to = {
    ArrowRight: value + step, ArrowUp: value + step, ArrowLeft: value - step, ArrowDown: value - step,
    PageUp: value + LARGE_STEP, PageDown: value - LARGE_STEP, Home: 0, End: 1,
  }[event.key];
  if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  set(to);
}

/** A pointer takes the nearer handle; of two in one place the one on its side. */
function dragRange(track, handles, read, change) {
  let held = null;
  const at = ({ clientX }) => {
    const { left, width } = track.getBoundingClientRect();
    return clamp((clientX - left) / width, 0, 1);
  };
  track.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    const { begin, end } = read();
    held = at(event) < (begin + end) / 2 ? "begin" : "end";
    handles[held === "begin" ? 0 : 1].focus();
    track.setPointerCapture(event.pointerId);
    change(held, at(event));
  });
  track.addEventListener("pointermove", (event) => held && change(held, at(event)));
  for (const type of ["pointerup", "pointercancel"]) track.addEventListener(type, () => (held = null));
}

function percent(value) {
  return `${Math.round(value * 100)}%`;
}

function rangeText({ begin, end, steps }) {
  return `${percent(begin).replace("%", "")}–${percent(end).replace("%", " %")} · ${stepText(begin, end, steps)}`;
}

function stepText(begin, end, steps) {
  const found = stepsWithin(begin, end, steps);
  if (!found) return `none of ${steps} steps`;
  return found.first === found.last ? `step ${found.first} of ${steps}` : `steps ${found.first}–${found.last} of ${steps}`;
}

/**
 * An editor of a curve over 0…1 with factors from 0 to 2. `place` names what runs from left to right, such as "of the steps",
 * `ends` are the words below its two ends.
 * `onchange(points)` gets [[place, factor], …]; an empty list is 1 throughout.
 * `element.show({points, begin, end, scale, weights})`: the range is shaded, and the product of all is drawn behind the curve.
 */
export function curveEditor({ label, place, ends, onchange }) {
  return new CurveEditor({ label, place, ends, onchange }).element;
}

class CurveEditor {
  #place;
  #onchange;
  #now = { points: [], begin: 0, end: 1, scale: 1, weights: null };
  #held = null; // {index} of a point, or {trail, from} of a line that is being drawn
  #added = 0; // when the newest point was added, since a double click begins with a click

  constructor({ label, place, ends, onchange }) {
    this.#place = place;
    this.#onchange = onchange;
    this.outside = [svg("rect", { class: "curve-outside" }), svg("rect", { class: "curve-outside" })];
    this.product = svg("path", { class: "curve-product" });
    this.line = svg("path", { class: "curve-line" });
    this.trail = svg("path", { class: "curve-trail" });
    this.dots = svg("g");
    this.plane = svg(
      "svg",
      { class: "curve-plane", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": label },
      svg("path", { class: "curve-level", d: `M${across(0)} ${up(1)}H${across(1)}` }),
      ...this.outside, this.product, this.line, this.trail, this.dots,
    );
    this.text = h("input", { type: "text", "aria-label": `${label}, as points`, placeholder: "0:1 0.5:0.2", onchange: () => this.#type() });
    this.fault = h("p", { class: "fault", role: "alert", hidden: true });
    this.strongest = h("span", { class: "curve-strongest" });
    const presets = PRESETS.map((preset) => presetButton(preset, () => this.#set(preset.points)));
    this.reset = h("button", { type: "button", class: "quiet", onclick: () => this.#set([]) }, "Reset");
    this.element = h(
      "div",
      { class: "curve" },
      this.plane,
      h("div", { class: "curve-ends", "aria-hidden": "true" }, ends.map((words) => h("span", {}, words))),
      h("div", { class: "curve-presets" }, presets, this.reset),
      h("div", { class: "curve-typed" }, this.text, this.strongest),
      this.fault,
    );
    this.element.show = (values) => this.#show(values);
    this.#listen();
  }

  #set(points) {
    this.#say("");
    this.#onchange(points);
  }

  #say(text) {
    this.fault.textContent = text;
    this.fault.hidden = !text;
  }

  #type() {
    try {
      this.#set(parsePoints(this.text.value));
    } catch (fault) {
      this.#say(fault.message);
    }
  }

  #show(values) {
    this.#now = { ...this.#now, ...values };
    const { points, begin, end } = this.#now;
    setRect(this.outside[0], 0, begin);
    setRect(this.outside[1], end, 1);
    this.line.setAttribute("d", pathOf([[0, valueAt(points, 0)], ...points, [1, valueAt(points, 1)]]));
    const product = this.#product();
    this.product.setAttribute("d", `${pathOf(product)}V${up(0)}H${across(product[0][0])}Z`);
    this.strongest.textContent = `strongest ${Number(Math.max(...product.map(([, value]) => value)).toFixed(2))}`;
    if (document.activeElement !== this.text || !this.fault.textContent) this.text.value = writePoints(points);
    this.reset.disabled = !points.length;
    this.#showDots();
  }

  /** Strength × curve within the range, times a mode's factors by depth where there are some. */
  #product() {
    const { points, begin, end, scale, weights } = this.#now;
    const factor = (place) => (weights ? weights[Math.round(place * (weights.length - 1))] : 1);
    const sample = (place) => [place, scale * factor(place) * valueAt(points, place)];
    const inside = Array.from({ length: SAMPLES + 1 }, (_, index) => begin + ((end - begin) * index) / SAMPLES);
    return inside.map(sample);
  }

  #showDots() {
    const { points } = this.#now;
    while (this.dots.children.length > points.length) this.dots.lastChild.remove();
    points.forEach(([place, factor], index) => {
      const dot = this.dots.children[index] ?? this.dots.appendChild(this.#buildDot());
      dot.setAttribute("transform", `translate(${across(place)} ${up(factor)})`);
      dot.setAttribute("aria-label", `Point ${index + 1} of ${points.length}`);
      dot.setAttribute("aria-valuenow", factor);
      dot.setAttribute("aria-valuetext", `factor ${factor} at ${Math.round(place * 100)} % ${this.#place}`);
    });
  }

  #buildDot() {
    const dot = svg(
      "g",
      { class: "curve-dot", role: "slider", tabindex: "0", "aria-valuemin": "0", "aria-valuemax": TOP, "aria-orientation": "vertical" },
      svg("circle", { class: "curve-reach", r: 12 }),
      svg("circle", { r: 4.5 }),
    );
    dot.addEventListener("keydown", (event) => this.#key(event, [...this.dots.children].indexOf(dot)));
    return dot;
  }

  #key(event, index) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { points } = this.#now;
    const [place, factor] = points[index];
    const [aside, higher] = event.shiftKey ? [0.1, LARGE_STEP] : [0.01, SMALL_STEP];
    const moved = {
      ArrowLeft: [place - aside, factor], ArrowRight: [place + aside, factor],
      ArrowUp: [place, factor + higher], ArrowDown: [place, factor - higher],
    }[event.key];
    if (moved) this.#set(movePoint(points, index, moved));
    else if (event.key === "Delete" || event.key === "Backspace") this.#remove(index);
    else if (event.key === "Enter" || event.key === "Insert") this.#add(this.#between(index));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Half way to the next point, or to the end. */
  #between(index) {
    const { points } = this.#now;
    const next = points[index + 1]?.[0] ?? (points[index][0] < 1 ? 1 : points[index - 1]?.[0] ?? 0);
    const place = (points[index][0] + next) / 2;
    return [place, valueAt(points, place)];
  }

  #add(point) {
    const points = addPoint(this.#now.points, point);
    if (points.length > MOST_POINTS) {
      this.#say(`A curve has at most ${MOST_POINTS} points; remove one first.`);
      return;
    }
    this.#added = performance.now();
    this.#set(points);
  }

  #remove(index) {
    const { points } = this.#now;
    this.#set(points.filter((_, number) => number !== index));
    (this.dots.children[Math.min(index, points.length - 2)] ?? this.text).focus();
  }

  #listen() {
    const { plane } = this;
    plane.addEventListener("pointerdown", (event) => this.#down(event));
    plane.addEventListener("pointermove", (event) => this.#move(event));
    plane.addEventListener("pointerup", (event) => this.#up(event));
    plane.addEventListener("pointercancel", () => this.#release());
    plane.addEventListener("dblclick", (event) => {
      const index = this.#nearest(event, "mouse");
      if (index >= 0 && performance.now() - this.#added > 600) this.#remove(index);
    });
  }

  #down(event) {
    if (event.button) return;
    event.preventDefault();
    this.plane.setPointerCapture(event.pointerId);
    const index = this.#nearest(event, event.pointerType);
    if (index >= 0) {
      this.#held = { index };
      this.dots.children[index].focus();
    } else this.#held = { trail: [this.#at(event)], from: event };
  }

  #move(event) {
    if (!this.#held) return;
    if (this.#held.trail) {
      this.#held.trail.push(this.#at(event));
      this.trail.setAttribute("d", pathOf(this.#held.trail));
    } else this.#set(movePoint(this.#now.points, this.#held.index, this.#at(event)));
  }

  #up(event) {
    const { trail, from } = this.#held ?? {};
    this.#release();
    if (!trail) return;
    if (Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) < STILL && trail.length < 6) this.#add(trail[0]);
    else this.#set(drawOver(this.#now.points, trail));
  }

  #release() {
    this.#held = null;
    this.trail.setAttribute("d", "");
  }

  /** The point of the curve that is at a pointer; -1 where there is none. */
  #nearest({ clientX, clientY }, kind) {
    const scale = this.plane.getBoundingClientRect().width / WIDTH;
    const [x, y] = this.#inPlane(clientX, clientY);
    const distances = this.#now.points.map(([place, factor]) => Math.hypot(across(place) - x, up(factor) - y) * scale);
    const least = Math.min(...distances);
    return least <= (REACH[kind] ?? REACH.mouse) ? distances.indexOf(least) : -1;
  }

  #inPlane(clientX, clientY) {
    const { left, top, width, height } = this.plane.getBoundingClientRect();
    return [((clientX - left) / width) * WIDTH, ((clientY - top) / height) * HEIGHT];
  }

  #at({ clientX, clientY }) {
    const [x, y] = this.#inPlane(clientX, clientY);
    return [clamp((x - INSET) / (WIDTH - 2 * INSET), 0, 1), clamp(((HEIGHT - INSET - y) / (HEIGHT - 2 * INSET)) * TOP, 0, TOP)];
  }
}

function presetButton({ title, points }, onclick) {
  return h("button", { type: "button", class: "curve-preset", title, "aria-label": title, onclick }, smallCurve(sampled(points), 32, 18));
}

function across(place) {
  return INSET + place * (WIDTH - 2 * INSET);
}

function up(factor) {
  return HEIGHT - INSET - (clamp(factor, 0, TOP) / TOP) * (HEIGHT - 2 * INSET);
}

function pathOf(points) {
  return points.map(([place, factor], index) => `${index ? "L" : "M"}${across(place).toFixed(1)} ${up(factor).toFixed(1)}`).join("");
}

function setRect(rect, from, to) {
  Object.entries({ x: across(from), y: up(TOP), width: across(to) - across(from), height: up(0) - up(TOP) }).forEach(([name, value]) =>
    rect.setAttribute(name, value),
  );
}
