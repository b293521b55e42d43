/** Weights of a ControlNet's blocks as bars: dragged, drawn over in one stroke, moved by keys, or typed. */

import { clamp } from "./curve_points.js";
import { h } from "../core/dom.js";

const MOST = 16; // of a weight, as the request allows
const USUAL = 2; // height of the bars while no weight is larger
const MOST_BLOCKS = 32;
const STEP = 0.05;

/** `onchange(weights)`; `element.show(weights)`. The shallowest block is left, the middle block right. */
export function blockBars({ label, onchange }) {
  let now = [];
  const fault = h("p", { class: "fault", role: "alert", hidden: true });
  const say = (text) => {
    fault.textContent = text;
    fault.hidden = !text;
  };
  const take = (weights) => {
    say("");
    onchange(weights);
  };
  const set = (index, value) => take(now.map((weight, number) => (number === index ? rounded(value) : weight)));
  const bars = h("div", { class: "blocks-bars" });
  const text = h("input", { type: "text", "aria-label": `${label}, as numbers`, onchange: () => readTyped(text.value, take, say) });
  const name = h("span", { class: "blocks-name" }, label);
  const element = h("div", { class: "blocks", role: "group", "aria-label": label }, name, bars, text, fault);
  drawBars(bars, () => topOf(now), set);
  element.show = (weights) => {
    now = weights;
    while (bars.children.length > weights.length) bars.lastChild.remove();
    weights.forEach((weight, index) => {
      const bar = bars.children[index] ?? bars.appendChild(buildBar(index, () => now[index], set));
      showBar(bar, weight, index, weights);
    });
    if (document.activeElement !== text || fault.hidden) text.value = weights.join(" ");
  };
  return element;
}

function buildBar(index, read, set) {
  const onkeydown = (event) => {
    const value = read();
    const to = {
      ArrowUp: value + STEP, ArrowRight: value + STEP, ArrowDown: value - STEP, ArrowLeft: value - STEP,
      PageUp: value + 5 * STEP, PageDown: value - 5 * STEP, Home: 0, End: USUAL,
    }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    set(index, clamp(to, 0, MOST));
  };
  const role = { role: "slider", tabindex: "0", "aria-orientation": "vertical", "aria-valuemin": "0", "aria-valuemax": MOST };
  return h("span", { class: "block", ...role, onkeydown }, h("span", { class: "block-fill" }));
}

function showBar(bar, weight, index, weights) {
  const name = index === weights.length - 1 ? "Middle block" : `Block ${index + 1}`;
  bar.firstChild.style.height = `${(100 * weight) / topOf(weights)}%`;
  bar.title = `${name}: ${weight}`;
  bar.setAttribute("aria-label", name);
  bar.setAttribute("aria-valuenow", weight);
}

/** A pointer sets the bar below it, and goes on drawing over the others. */
function drawBars(bars, top, set) {
  let isHeld = false;
  let height = USUAL; // stays while a stroke is drawn
  const draw = ({ clientX, clientY }) => {
    const box = bars.getBoundingClientRect();
    const index = clamp(Math.floor(((clientX - box.left) / box.width) * bars.children.length), 0, bars.children.length - 1);
    set(index, clamp(((box.bottom - clientY) / box.height) * height, 0, height));
    return index;
  };
  bars.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    bars.setPointerCapture(event.pointerId);
    isHeld = true;
    height = top();
    bars.children[draw(event)].focus();
  });
  bars.addEventListener("pointermove", (event) => isHeld && draw(event));
  for (const type of ["pointerup", "pointercancel"]) bars.addEventListener(type, () => (isHeld = false));
}

function readTyped(text, take, say) {
  const parts = text.trim().split(/[\s,;]+/).filter(Boolean);
  const wrong = parts.find((part) => !(Number(part) >= 0 && Number(part) <= MOST));
  if (wrong !== undefined) say(`“${wrong}” is no weight; write numbers from 0 to ${MOST}, one a block.`);
  else if (!parts.length || parts.length > MOST_BLOCKS) {
    say(`There are ${parts.length} weights; write one a block, from 1 to ${MOST_BLOCKS} of them.`);
  } else take(parts.map(Number));
}

function topOf(weights) {
  return Math.max(USUAL, ...weights);
}

function rounded(value) {
  return Number(value.toFixed(2));
}
