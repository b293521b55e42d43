/** The controls of the painting tools: each is bound to a tool's options, and lives as long as its panel. */

import { h, icon, iconButton } from "../core/dom.js";
import { SIZES } from "./painting.js";

const MODES = {
  brush: { icon: "brush", label: "Brush (B)" },
  erase: { icon: "erase", label: "Eraser (E)" },
  line: { icon: "line", label: "Straight line (Shift with the brush)" },
  rectangle: { icon: "rectangle", label: "Rectangle" },
  polygon: { icon: "polygon", label: "Polygon: click its corners; Enter closes it" },
  fill: { icon: "fill", label: "Fill an area" },
  pick: { icon: "pick", label: "Pick the class from the picture (Alt with any tool)" },
};

/** The panel of a tool: its modes, its options, what can be done as a whole, and a line for the keyboard's crosshair. */
export function buildPanel(tool, { title, modes, help, first = [] }, ...groups) {
  const place = h("p", { class: "paint-place", role: "status" });
  tool.follow(tool.options, ({ place }) => place, (text) => (place.textContent = text));
  return h(
    "div",
    { class: "paint-panel", role: "group", "aria-label": title },
    buildModes(tool, modes),
    ...first,
    sizeSlider(tool),
    toleranceSlider(tool),
    ...groups.filter(Boolean),
    h("details", { class: "paint-help" }, h("summary", {}, "How to"), h("p", {}, help), h("p", {}, KEYS_HELP)),
    place,
  );
}

const KEYS_HELP =
  "Keys: [ and ] change the size. With the picture focused, the arrow keys move a crosshair (Shift: 10 px), Space puts the pen " +
  "down and lifts it, Enter fills.";

function buildModes(tool, modes) {
  const buttons = modes.map((mode) =>
    iconButton(MODES[mode].icon, MODES[mode].label, () => tool.choose(mode), { dataset: { mode }, "aria-pressed": "false" }),
  );
  tool.follow(tool.options, ({ mode }) => mode, (chosen) =>
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.mode === chosen))),
  );
  return h("div", { class: "paint-modes", role: "group", "aria-label": "Tools" }, buttons);
}

function sizeSlider(tool) {
  const size = slider(tool, "size", "Size", { min: SIZES.least, max: SIZES.most, step: 1, show: (value) => `${value} px` });
  showWhen(tool, size, ({ mode }) => ["brush", "erase", "line"].includes(mode));
  return size;
}

function toleranceSlider(tool) {
  const show = (value) => `${Math.round(value / 2.55)} %`;
  const tolerance = slider(tool, "tolerance", "Fill tolerance", { min: 0, max: 254, step: 1, show });
  showWhen(tool, tolerance, ({ mode, hasTolerance }) => mode === "fill" && hasTolerance !== false);
  return tolerance;
}

/** Show an element only while its options count. */
export function showWhen(tool, element, matters) {
  tool.follow(tool.options, matters, (isShown) => (element.hidden = !isShown));
}

/** A slider for one of a tool's options. */
export function slider(tool, name, label, { min, max, step, show = String }) {
  const input = h("input", { type: "range", min, max, step, oninput: () => set(Number(input.value)) });
  const set = (value) => {
    tool.options.patch({ [name]: value });
    tool.stage?.redraw();
  };
  const output = h("output", {});
  tool.follow(tool.options, (options) => options[name], (value) => {
    input.value = value;
    output.textContent = show(value);
  });
  return labelled(name, label, input, output);
}

/** A drop-down list for one of a tool's options; choices are [value, title]. */
export function choice(tool, name, label, choices) {
  const change = () => {
    tool.options.patch({ [name]: select.value });
    tool.stage?.redraw();
  };
  const select = h("select", { onchange: change }, choices.map(([value, title]) => h("option", { value }, title)));
  tool.follow(tool.options, (options) => options[name], (value) => (select.value = value));
  return labelled(name, label, select);
}

export function checkbox(tool, name, label) {
  const input = h("input", { type: "checkbox", onchange: () => tool.options.patch({ [name]: input.checked }) });
  tool.follow(tool.options, (options) => options[name], (value) => (input.checked = value));
  return h("label", { class: "paint-check" }, input, label);
}

/** A labelled control; `name` is the only one of its kind in a panel. */
export function labelled(name, label, input, output = null) {
  input.id = `paint-${name}`;
  return h("div", { class: "paint-option" }, h("label", { for: input.id }, label), output, input);
}

/** Undo, redo and clear; then what the tool adds. */
export function actions(tool, ...more) {
  const { drafts, store } = tool.app;
  const undo = iconButton("undo", "Undo (Ctrl+Z)", () => drafts.undo());
  const redo = iconButton("redo", "Redo (Ctrl+Shift+Z)", () => drafts.redo());
  tool.follow(store, ({ canUndo, canRedo }) => [canUndo, canRedo], ([canUndo, canRedo]) => {
    undo.disabled = !canUndo;
    redo.disabled = !canRedo;
  });
  const clear = iconButton("delete", "Clear", () => tool.clear());
  return h("div", { class: "paint-actions" }, undo, redo, clear, more);
}

/** A button with an icon and a word. */
export function wordButton(name, label, onclick, title = label) {
  return h("button", { type: "button", class: "paint-word", title, onclick }, icon(name), label);
}

export function loadButton(tool) {
  return wordButton("upload", "Load…", () => tool.load(), "Load a picture from a file");
}
