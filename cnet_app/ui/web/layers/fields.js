/** Fields of declared parameters: a slider with its number, a select, a switch, or a number alone; help behind an “i”. */

import { h } from "../core/dom.js";
import { randomId } from "../core/server.js";

const MOST_PLACES = 2000; // of a slider; a wider range is a number alone

/**
 * A field of a parameter as cnet_app/ui/calls/describe.py declares it. `onchange(value)` gets every valid value; what is
 * out of bounds is said below the field and not taken. `element.show(value)` shows a value that came from elsewhere.
 * Options: label, titles (by choice), disabled, slider (false leaves it away), tabStops (false leaves the number beside a
 * slider out of the tab order).
 */
export function field(name, declared, value, onchange, options = {}) {
  const parts = { name, declared, onchange, label: options.label ?? wordsOf(name), id: `${name}-${randomId(4)}`, options };
  const element = kindOf(declared, options)(parts);
  element.show(value);
  return element;
}

function kindOf({ choices, default: value, minimum, maximum, step }, { slider = true }) {
  if (choices?.length) return selectField;
  if (typeof value === "boolean") return switchField;
  const isBounded = minimum !== null && maximum !== null && minimum !== undefined && maximum !== undefined;
  return slider && isBounded && (maximum - minimum) / (step ?? 1) <= MOST_PLACES ? sliderField : numberField;
}

/** The name of a field in words, as the server has it in tables.labels. */
export function labelOf(tables, name) {
  return tables?.labels[name] ?? wordsOf(name);
}

function wordsOf(name) {
  const words = name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

/** A button with an “i” and the text that it opens: {button, text}. */
export function help(label, words) {
  const text = h("p", { class: "help-text", hidden: true }, words);
  const toggle = () => {
    text.hidden = !text.hidden;
    button.setAttribute("aria-expanded", String(!text.hidden));
  };
  const title = typeof words === "string" ? words : null;
  const names = { title, "aria-label": `Help: ${label}`, "aria-expanded": "false" };
  const button = h("button", { type: "button", class: "help-button", ...names, onclick: toggle }, "i");
  return { button, text };
}

/** A label with its control, and help behind an “i” where there is some. */
export function labelled(label, id, words, ...controls) {
  const about = words ? help(label, words) : null;
  return h(
    "div",
    { class: "field" },
    h("span", { class: "field-name" }, h("label", { for: id }, label), about?.button),
    h("span", { class: "field-control" }, controls),
    about?.text,
  );
}

function framed({ label, id, declared }, ...controls) {
  const fault = h("p", { class: "fault", role: "alert", hidden: true });
  const element = labelled(label, id, declared.help, ...controls);
  element.append(fault);
  element.fault = (text) => {
    fault.textContent = text;
    fault.hidden = !text;
  };
  return element;
}

function selectField(parts) {
  const { declared, onchange, id, options } = parts;
  const titles = options.titles ?? {};
  const rows = declared.choices.map((choice) => h("option", { value: choice }, titles[choice] ?? wordsOf(choice)));
  const select = h("select", { id, disabled: Boolean(options.disabled), onchange: () => onchange(select.value) }, rows);
  const element = framed(parts, select);
  element.show = (value) => (select.value = value ?? declared.default);
  return element;
}

function switchField(parts) {
  const { declared, onchange, id, options } = parts;
  const disabled = Boolean(options.disabled);
  const input = h("input", { id, type: "checkbox", role: "switch", disabled, onchange: () => onchange(input.checked) });
  const element = framed(parts, input);
  element.classList.add("is-switch");
  element.show = (value) => (input.checked = value ?? declared.default);
  return element;
}

function sliderField(parts) {
  const { declared, id, options, onchange } = parts;
  const { minimum, maximum, step } = declared;
  const slider = h("input", { id, type: "range", min: minimum, max: maximum, step: step ?? "any", disabled: Boolean(options.disabled) });
  const number = numberInput({ ...parts, id: `${id}-number` }, (fault) => element.fault(fault));
  number.setAttribute("aria-label", `${parts.label}, number`);
  if (options.tabStops === false) number.tabIndex = -1;
  slider.addEventListener("input", () => {
    number.value = slider.value;
    element.fault("");
    onchange(Number(slider.value));
  });
  const element = framed(parts, slider, number, unitOf(declared));
  element.show = (value) => {
    slider.value = value ?? declared.default;
    number.show(value);
  };
  return element;
}

function numberField(parts) {
  const number = numberInput(parts, (fault) => element.fault(fault));
  const element = framed(parts, number, unitOf(parts.declared));
  element.show = number.show;
  return element;
}

/** An input of a number that tells `report` a sentence where what is typed is not allowed, and "" where it is. */
function numberInput({ id, label, declared, onchange, options }, report) {
  const { minimum, maximum } = declared;
  const input = h("input", { id, type: "number", step: "any", min: minimum, max: maximum, disabled: Boolean(options.disabled) });
  let shown;
  input.addEventListener("input", () => {
    const value = input.value === "" ? NaN : Number(input.value);
    const fault = numberFault(label, declared, value);
    input.setAttribute("aria-invalid", String(Boolean(fault)));
    report(fault);
    if (!fault) onchange((shown = value));
  });
  input.show = (value) => {
    const wanted = value ?? declared.default;
    if (document.activeElement === input && Number(input.value) === wanted) return;
    if (document.activeElement === input && shown === wanted) return;
    shown = wanted;
    input.value = plain(wanted);
    input.setAttribute("aria-invalid", "false");
    report("");
  };
  return input;
}

/** Why a number cannot be taken, or "". */
export function numberFault(label, { minimum, maximum, whole, unit }, value) {
  const bounds = [minimum, maximum].every((bound) => bound !== null && bound !== undefined)
    ? ` from ${minimum} to ${maximum}${unit ? ` ${unit}` : ""}`
    : "";
  if (!Number.isFinite(value)) return `${label} must be a number${bounds}.`;
  if (whole && !Number.isInteger(value)) return `${label} must be a whole number${bounds}.`;
  if (value < (minimum ?? -Infinity) || value > (maximum ?? Infinity)) return `${label} must be${bounds}.`;
  return "";
}

function unitOf({ unit }) {
  return unit ? h("span", { class: "field-unit" }, unit) : null;
}

function plain(number) {
  const isSmall = Math.abs(number) < 0.01;
  return String(Number(isSmall ? Number(number).toPrecision(4) : Number(number).toFixed(4)));
}
