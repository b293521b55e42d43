/** Fields: a label with the control that fits what is declared of a value. */

import { h } from "./dom.js";

let count = 0;

/**
 * A field of a declared value {default, minimum, maximum, step, unit, choices, whole, help}; `onchange` gets every new value.
 * Options: {label, disabled, reason}; the reason is shown where the field is disabled.
 */
export function field(name, declared, value, onchange, options = {}) {
  const { label = name, disabled = false, reason = "" } = options;
  const id = `field-${name}-${++count}`;
  const { minimum, maximum, step } = declared;
  // A range takes its value for what its bounds allow at that moment; so they come first.
  const range = { min: minimum, max: maximum, step: step ?? "any", disabled, value };
  const number = h("input", { type: "number", id, ...range });
  const slider = h("input", { type: "range", "aria-label": label, ...range });
  const take = (text) => {
    const given = Number(text);
    if (text === "" || !(given >= minimum && given <= maximum)) return;
    number.value = slider.value = given;
    onchange(given);
  };
  slider.oninput = () => take(slider.value);
  number.onchange = () => take(number.value);
  const title = disabled ? reason : declared.help;
  return h("div", { class: "field", title }, h("label", { for: id }, label), slider, number);
}
