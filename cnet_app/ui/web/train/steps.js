/** Parts of the steps of a new training: their frame, and the progress of work on data. */

import { fill, h } from "../core/dom.js";

/** A step of the page: a numbered heading and its parts. */
export function step(number, title, ...parts) {
  const id = `train-step-${number}`;
  return h("section", { class: "train-step", "aria-labelledby": id }, h("h3", { id }, h("span", { class: "train-number", "aria-hidden": "true" }, number), title), parts);
}

/** A bar with words while a build or check runs, and the button that ends it. */
export function progressOf(owner, label) {
  const { done, total } = owner.work;
  const bar = h("progress", { max: String(total || 1), value: total ? String(done) : null, "aria-label": label });
  const words = h("span", { role: "status" }, total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : "Starting …");
  return h("div", { class: "train-progress" }, bar, words, h("button", { type: "button", onclick: () => owner.cancel() }, "Cancel"));
}

/** Replace the children of an element, and leave the focus where it was: on the same control, else on the first button. */
export function refill(host, ...children) {
  const focused = host.contains(document.activeElement) ? document.activeElement.id : null;
  fill(host, ...children);
  if (focused !== null) ((focused && host.querySelector(`#${focused}`)) || host.querySelector("button"))?.focus();
}
