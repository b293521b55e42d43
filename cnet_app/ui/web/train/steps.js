/** Parts of the steps of a new training: their frame, and the progress of work on data. */

import { fill, h, setText } from "../core/dom.js";

/** A step of the page: a numbered heading and its parts. */
export function step(number, title, ...parts) {
  const id = `train-step-${number}`;
  return h("section", { class: "train-step", "aria-labelledby": id }, h("h3", { id }, h("span", { class: "train-number", "aria-hidden": "true" }, number), title), parts);
}

/** Show in a host how far a build or check is, with the button that ends it; that stays, so that no click on it is lost. */
export function showProgress(host, owner, label) {
  if (!host.querySelector(".train-progress")) refill(host, buildProgress(owner, label));
  const { done, total } = owner.work;
  const bar = host.querySelector("progress");
  bar.max = total || 1;
  if (total) bar.value = done;
  setText(host.querySelector(".train-progress [role=status]"), total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : "Starting …");
}

function buildProgress(owner, label) {
  const cancel = h("button", { type: "button", onclick: () => owner.cancel() }, "Cancel");
  return h("div", { class: "train-progress" }, h("progress", { "aria-label": label }), h("span", { role: "status" }), cancel);
}

/** Replace the children of an element, and leave the focus where it was: on the same control, else on the first button. */
export function refill(host, ...children) {
  const focused = host.contains(document.activeElement) ? document.activeElement.id : null;
  fill(host, ...children);
  if (focused !== null) ((focused && host.querySelector(`#${focused}`)) || host.querySelector("button"))?.focus();
}
