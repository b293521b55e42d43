/** A chart of curves over steps, drawn as SVG at the size it has on the screen. */

import { h } from "../core/dom.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 200;
const EDGE = { left: 52, right: 12, top: 12, bottom: 24 };
const MOST_TICKS = 5;

/** A chart with a heading; `isLog` gives its values a logarithmic scale, `range` fixes their ends. */
export class Chart {
  #svg = svg("svg", { class: "chart-drawing", role: "img" });
  #title;
  #isLog;
  #range;
  #shown = { curves: [], marks: [], last: 1 };

  constructor(title, { isLog = false, range = null, note = "" } = {}) {
    [this.#title, this.#isLog, this.#range] = [title, isLog, range];
    this.element = h("figure", { class: "chart" }, h("figcaption", {}, h("strong", {}, title), note && h("span", { class: "quiet-text" }, note)), this.#svg);
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this.element);
  }

  /** Show curves, each {name, points: [{x, y}], isFaint, hasDots}, up to the step `last`, and marks {x, label} on the steps. */
  show(curves, last, marks = []) {
    this.#shown = { curves, marks, last: Math.max(last, 1) };
    this.#draw();
  }

  close() {
    this.observer.disconnect();
  }

  #draw() {
    const width = this.element.clientWidth;
    const { curves, marks, last } = this.#shown;
    const points = curves.flatMap((curve) => curve.points).filter(({ y }) => !this.#isLog || y > 0);
    if (!width) return;
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.#svg.setAttribute("height", HEIGHT);
    this.#svg.setAttribute("aria-label", this.#words(curves, marks));
    if (!points.length) {
      this.#svg.replaceChildren(text(width / 2, HEIGHT / 2, "Nothing yet", "middle"));
      return;
    }
    const scale = this.#scale(points, last, width);
    this.#svg.replaceChildren(...this.#grid(scale, width), ...curves.flatMap((curve) => drawCurve(curve, scale)), ...marks.map((mark) => drawMark(mark, scale, width)));
  }

  #scale(points, last, width) {
    const change = this.#isLog ? Math.log10 : (value) => value;
    const values = points.map(({ y }) => change(y));
    const [low, high] = this.#range ?? widened(Math.min(...values), Math.max(...values));
    const [wide, tall] = [width - EDGE.left - EDGE.right, HEIGHT - EDGE.top - EDGE.bottom];
    return {
      last,
      low,
      high,
      x: (step) => EDGE.left + (wide * step) / last,
      y: (value) => EDGE.top + tall * (1 - (change(value) - low) / (high - low)),
    };
  }

  #grid(scale, width) {
    const values = this.#isLog ? logTicks(scale.low, scale.high) : ticks(scale.low, scale.high);
    const rows = values.flatMap((value) => [line(EDGE.left, scale.y(value), width - EDGE.right, scale.y(value), "chart-grid"), text(EDGE.left - 6, scale.y(value) + 4, plain(value), "end")]);
    const steps = ticks(0, scale.last).filter(Number.isInteger);
    return [...rows, ...steps.map((step) => text(scale.x(step), HEIGHT - 6, step.toLocaleString("en"), step === 0 ? "start" : "middle"))];
  }

  /** The chart for those who do not see it. */
  #words(curves, marks) {
    const told = curves.filter(({ points, isFaint }) => points.length && !isFaint).map(({ name, points }) => {
      const [first, last] = [points[0], points.at(-1)];
      const values = points.map(({ y }) => y);
      return `${name}: ${plain(first.y)} at step ${first.x}, ${plain(last.y)} at step ${last.x}, from ${plain(Math.min(...values))} to ${plain(Math.max(...values))}.`;
    });
    return [`${this.#title}.`, ...(told.length ? told : ["Nothing yet."]), ...marks.map(({ x, label }) => `${label} at step ${x}.`)].join(" ");
  }
}

function drawCurve({ points, isFaint, hasDots }, scale) {
  const places = points.map(({ x, y }) => [scale.x(x), scale.y(y)]).filter((place) => place.every(Number.isFinite));
  const path = svg("polyline", { class: isFaint ? "chart-faint" : "chart-curve", points: places.map((place) => place.map((part) => part.toFixed(1)).join(",")).join(" ") });
  return [path, ...(hasDots ? places.map(([cx, cy]) => svg("circle", { class: "chart-dot", cx, cy, r: 3 })) : [])];
}

/** A line at a step, with its words on the side where there is more room. */
function drawMark({ x, label }, scale, width) {
  const place = scale.x(x);
  const isLeft = place > width / 2;
  const words = text(place + (isLeft ? -6 : 6), HEIGHT - EDGE.bottom - 8, `${label}: step ${x}`, isLeft ? "end" : "start");
  words.classList.add("chart-words");
  const group = svg("g", {});
  group.append(line(place, EDGE.top, place, HEIGHT - EDGE.bottom, "chart-mark"), words);
  return group;
}

function widened(low, high) {
  const more = (high - low || Math.abs(high) || 1) * 0.08;
  return [low - more, high + more];
}

/** Round numbers between two values. */
function ticks(low, high) {
  const rough = (high - low) / MOST_TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.max(Math.floor(high / step + 1e-9) - first + 1, 0) }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** 1, 2 and 5 of each decade between two logarithms, or the decades alone where those are many. */
function logTicks(low, high) {
  const decades = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, index) => Math.floor(low) + index);
  const factors = high - low > 2.5 ? [1] : high - low > 0.7 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  return decades.flatMap((decade) => factors.map((factor) => Number((factor * 10 ** decade).toPrecision(6)))).filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
}

function plain(value) {
  const size = Math.abs(value);
  return size !== 0 && (size < 0.001 || size >= 100_000) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

function svg(name, attributes) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function line(x1, y1, x2, y2, name) {
  return svg("line", { x1, y1, x2, y2, class: name });
}

function text(x, y, words, anchor) {
  const element = svg("text", { x, y, "text-anchor": anchor, class: "chart-text" });
  element.textContent = words;
  return element;
}
