/** Size of the picture and number of pictures. */

import { fill, h } from "./dom.js";
import { withPopover } from "./popover.js";

const RATIOS = [[1, 1], [3, 2], [2, 3], [16, 9], [9, 16]];
const FITS = [
  ["crop", "Crop", "Cut what is over at two sides of the photo"],
  ["pad", "Pad", "Keep the whole photo, with bars at two sides"],
  ["stretch", "Stretch", "Change the photo's aspect"],
];
const COUNTS = [1, 2, 4, 8];
const SPARE = 1.1; // share of the model's pixels from which on a size is called large

/** A button with the size, and the panel in which it is chosen; the warning of a size that is too large for the model. */
export function buildSize(app) {
  const button = h("button", { type: "button", class: "size-button", id: "size" });
  const body = h("div", { class: "size-body" });
  app.store.on(
    ({ draft, frame }) => [draft.size, draft.photo, frame],
    () => (button.textContent = sizeText(app.store.state)),
  );
  app.store.on(
    ({ draft, frame, choices }) => [draft.size, draft.photo, frame, choices.base],
    () => body.isConnected && update(app, body),
  );
  return withPopover(button, { class: "size-panel", "aria-label": "Size of the picture" }, body, () => update(app, body));
}

/** A line that is shown while the size is larger than what the model is made for. */
export function buildSizeWarning(app) {
  const warning = h("p", { class: "warning", role: "status" });
  app.store.on(
    ({ frame, choices }) => [frame, choices.base],
    () => {
      warning.textContent = warningOf(app.store.state);
      warning.hidden = !warning.textContent;
    },
  );
  return warning;
}

/** The number of pictures: one of COUNTS. */
export function buildCount(app) {
  const buttons = COUNTS.map((count) =>
    h("button", { type: "button", "aria-label": count === 1 ? "1 picture" : `${count} pictures`, onclick: () => app.drafts.edit({ count }) }, String(count)),
  );
  app.store.on(
    ({ draft }) => draft.count,
    (count) => buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(COUNTS[index] === count))),
  );
  return h("div", { class: "segments", role: "group", "aria-label": "Pictures" }, buttons);
}

function sizeText({ draft, frame }) {
  if (!frame) return "Size …";
  const size = `${frame.width}×${frame.height}`;
  if (draft.size.mode === "custom") return size;
  return draft.photo ? `${size} from the photo` : `${size}, the model's`;
}

function warningOf({ frame, choices }) {
  const { size } = choices.base.defaults;
  if (!frame || frame.width * frame.height <= SPARE * size * size) return "";
  return `Larger than the model is made for (${size} px): slow, and shapes may repeat.`;
}

function update(app, body) {
  const { draft, frame, choices } = app.store.state;
  if (body.contains(document.activeElement) && document.activeElement.type === "number") return updateTexts(app, body);
  const isCustom = draft.size.mode === "custom";
  const mode = (value, label, checked, onchange) =>
    h("label", { class: "choice" }, h("input", { type: "radio", name: "size-mode", value, checked, onchange }), label);
  fill(
    body,
    mode("photo", draft.photo ? "From the photo" : `The model's own (${choices.base.defaults.size} px)`, !isCustom, () => edit(app, { mode: "photo" })),
    mode("custom", "Custom", isCustom, () => edit(app, { mode: "custom", width: frame.width, height: frame.height })),
    h("div", { class: "size-sides" }, side(app, body, "width", "Width"), h("span", { "aria-hidden": "true" }, "×"), side(app, body, "height", "Height")),
    h("p", { class: "warning size-fault", role: "alert" }),
    h("div", { class: "segments", role: "group", "aria-label": "Ratio" }, RATIOS.map((ratio) => ratioButton(app, ratio))),
    h("div", { class: "segments", role: "group", "aria-label": "Fit" }, FITS.map((fit) => fitButton(app, fit))),
    h("p", { class: "quiet-text size-both" }),
    h("p", { class: "warning size-large" }),
  );
  return updateTexts(app, body);
}

function updateTexts(app, body) {
  const { draft, frame } = app.store.state;
  const { photo } = draft;
  const picture = frame ? `Picture ${frame.width}×${frame.height} px` : "";
  body.querySelector(".size-both").textContent = photo ? `Photo ${photo.width}×${photo.height} px → ${picture}` : picture;
  body.querySelector(".size-large").textContent = warningOf(app.store.state);
}

function side(app, body, name, label) {
  const { draft, frame, tables } = app.store.state;
  const { minimum, maximum, step } = tables.limits.request[name];
  const isCustom = draft.size.mode === "custom";
  const value = (isCustom ? draft.size[name] : frame?.[name]) ?? "";
  const take = () => {
    const fault = faultOf(label, Number(input.value), { minimum, maximum, step });
    body.querySelector(".size-fault").textContent = fault;
    input.setAttribute("aria-invalid", String(Boolean(fault)));
    const { frame: now } = app.store.state;
    if (!fault) edit(app, { mode: "custom", width: now.width, height: now.height, [name]: Number(input.value) }, name);
  };
  const input = h("input", { type: "number", "aria-label": `${label} in px`, value, min: minimum, max: maximum, step, onchange: take });
  return input;
}

function faultOf(label, value, { minimum, maximum, step }) {
  if (value >= minimum && value <= maximum && value % step === 0) return "";
  const near = Math.min(Math.max(Math.round(value / step) * step, minimum), maximum);
  return `${label} is ${value}, but it must be a multiple of ${step} from ${minimum} to ${maximum}, such as ${near}.`;
}

/** The server finds the size of a ratio as it does that of a photo. */
function ratioButton(app, [width, height]) {
  const choose = () =>
    app.attempt(async () => {
      const { draft, choices } = app.store.state;
      const values = { size: { ...draft.size, mode: "photo" }, photo: { width, height }, base: choices.base.id };
      const frame = await app.server.call("frame", values);
      edit(app, { mode: "custom", width: frame.width, height: frame.height });
    });
  return h("button", { type: "button", onclick: choose }, `${width}:${height}`);
}

function fitButton(app, [fit, label, title]) {
  const isOn = app.store.state.draft.size.fit === fit;
  return h("button", { type: "button", title, "aria-pressed": String(isOn), onclick: () => edit(app, { fit }) }, label);
}

function edit(app, changes, key = null) {
  app.drafts.edit(({ size }) => ({ size: { ...size, ...changes } }), key);
}
