/** Size of the picture and number of pictures. */

import { h } from "../core/dom.js";
import { withPopover } from "./popover.js";

const RATIOS = [
  [1, 1],
  [3, 2],
  [2, 3],
  [16, 9],
  [9, 16],
];
const FITS = [
  ["crop", "Crop", "Cut what is over at two sides of the photo"],
  ["pad", "Pad", "Keep the whole photo, with bars at two sides"],
  ["stretch", "Stretch", "Change the photo's aspect"],
];
const COUNTS = [1, 2, 4, 8];
const SPARE = 1.1; // share of the model's pixels from which on a size is called large

/** A button with the size, and the panel in which it is chosen. */
export function buildSize(app) {
  const button = h("button", { type: "button", class: "size-button", id: "size" });
  app.store.on(
    ({ draft, frame }) => [draft.size, draft.photo, frame],
    () => (button.textContent = button.title = sizeText(app.store.state)),
  );
  return withPopover(button, { class: "size-panel", "aria-label": "Size of the picture" }, buildPanel(app));
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
    h(
      "button",
      { type: "button", "aria-label": count === 1 ? "1 picture" : `${count} pictures`, onclick: () => app.drafts.edit({ count }) },
      String(count),
    ),
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

function buildPanel(app) {
  const fault = h("p", { class: "warning", role: "alert" });
  const both = h("p", { class: "quiet-text" });
  const large = h("p", { class: "warning" });
  app.store.on(
    ({ draft, frame, choices }) => [frame, draft.photo, choices.base],
    () => {
      both.textContent = bothSizes(app.store.state);
      large.textContent = warningOf(app.store.state);
    },
  );
  return h(
    "div",
    { class: "size-body" },
    buildModes(app),
    h(
      "div",
      { class: "size-sides" },
      buildSide(app, "width", "Width", fault),
      h("span", { "aria-hidden": "true" }, "×"),
      buildSide(app, "height", "Height", fault),
    ),
    fault,
    h(
      "div",
      { class: "segments", role: "group", "aria-label": "Ratio" },
      RATIOS.map((ratio) => ratioButton(app, ratio)),
    ),
    h(
      "div",
      { class: "segments", role: "group", "aria-label": "Fit" },
      FITS.map((fit) => fitButton(app, fit)),
    ),
    both,
    large,
  );
}

function bothSizes({ draft, frame }) {
  const picture = frame ? `Picture ${frame.width}×${frame.height} px` : "";
  return draft.photo ? `Photo ${draft.photo.width}×${draft.photo.height} px → ${picture}` : picture;
}

function buildModes(app) {
  const radio = (onchange) => h("input", { type: "radio", name: "size-mode", onchange });
  const own = radio(() => edit(app, { mode: "photo" }));
  const custom = radio(() => edit(app, { ...sidesOf(app.store.state), mode: "custom" }));
  const words = h("span");
  app.store.on(
    ({ draft, choices }) => [draft.size.mode, draft.photo, choices.base],
    ([mode, photo, base]) => {
      own.checked = mode !== "custom";
      custom.checked = mode === "custom";
      words.textContent = photo ? "From the photo" : `The model's own (${base.defaults.size} px)`;
    },
  );
  return [h("label", { class: "choice" }, own, words), h("label", { class: "choice" }, custom, "Custom")];
}

/** Width and height as they are typed, else as they follow from the photo. */
function sidesOf({ draft, frame }) {
  const { width, height } = draft.size.mode === "custom" ? draft.size : frame;
  return { width, height };
}

function buildSide(app, name, label, faultLine) {
  const { minimum, maximum } = app.store.state.tables.limits.request[name];
  const take = () => {
    const { side_multiple: step } = app.store.state.choices.base;
    const fault = faultOf(label, Number(input.value), { minimum, maximum, step });
    faultLine.textContent = fault;
    input.setAttribute("aria-invalid", String(Boolean(fault)));
    if (!fault) edit(app, { ...sidesOf(app.store.state), mode: "custom", [name]: Number(input.value) }, name);
  };
  const input = h("input", { type: "number", "aria-label": `${label} in px`, min: minimum, max: maximum, onchange: take });
  // Another frame of the same side leaves what is being typed, and its fault, as they are.
  app.store.on(
    ({ draft, frame, choices }) => [draft.size, frame && sidesOf({ draft, frame })[name], choices.base.side_multiple],
    ([, side, step]) => {
      input.step = step;
      if (side) input.value = side;
      input.setAttribute("aria-invalid", "false");
      faultLine.textContent = "";
    },
  );
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
  const button = h("button", { type: "button", title, onclick: () => edit(app, { fit }) }, label);
  app.store.on(
    ({ draft }) => draft.size.fit,
    (chosen) => button.setAttribute("aria-pressed", String(chosen === fit)),
  );
  return button;
}

function edit(app, changes, key = null) {
  app.drafts.edit(({ size }) => ({ size: { ...size, ...changes } }), key);
}
