/** One axis of a grid: which setting varies, and its values, as numbers, as ticked choices, or as texts of the prompt. */

import { fill, h } from "../core/dom.js";
import { randomId } from "../core/server.js";

const RANGE = /^(-?[\d.]+)\s*-\s*(-?[\d.]+)(?:\s*:\s*([\d.]+))?$/;

export class AxisEditor {
  #fields;
  #onchange;
  #editor = null;

  /** `fields` are as cnet_app/ui/calls/jobs/sweep_fields.py describes them. */
  constructor(title, fields, { isOptional, onchange }) {
    this.#fields = fields;
    this.#onchange = onchange;
    const id = randomId(4);
    this.values = h("div", { class: "grid-values" });
    this.select = h("select", { id, "aria-label": `${title}: setting`, onchange: () => this.#choose() }, optionsOf(fields, isOptional));
    this.element = h("fieldset", { class: "grid-axis" }, h("legend", {}, title), this.select, this.values);
  }

  focus() {
    this.select.focus();
  }

  get #field() {
    return this.#fields.find(({ name }) => name === this.select.value);
  }

  get isChosen() {
    return Boolean(this.#field);
  }

  /** The name of the setting with its layer. */
  get title() {
    return this.#field?.full ?? "";
  }

  /** The axis as the calls take it. */
  get value() {
    return { name: this.#field.name, ...this.#editor.value() };
  }

  /** The number of values; null where only the server can count them. */
  get count() {
    return this.#editor.count();
  }

  #choose() {
    const kinds = { number: numberEditor, choice: choiceEditor, prompt: promptEditor };
    this.#editor = this.#field ? kinds[this.#field.kind](this.#field, () => this.#onchange()) : null;
    fill(this.values, this.#editor ? this.#editor.content : []);
    this.#onchange();
  }
}

function optionsOf(fields, isOptional) {
  const groups = [...new Set(fields.map(({ group }) => group))];
  const option = ({ name, label }) => h("option", { value: name }, label);
  return [
    h("option", { value: "" }, isOptional ? "Nothing" : "Choose a setting"),
    groups.map((group) =>
      h(
        "optgroup",
        { label: group },
        fields.filter((field) => field.group === group).map(option),
      ),
    ),
  ];
}

/** Numbers and ranges as text; the server reads them. */
function numberEditor({ full, minimum, maximum, unit, value, example }, onchange) {
  const hint = randomId(4);
  const input = h("input", { type: "text", "aria-label": `Values of ${full}`, "aria-describedby": hint, autocomplete: "off", oninput: onchange });
  input.value = example;
  const bounds = minimum === null || maximum === null ? "" : `From ${minimum} to ${maximum}${unit ? ` ${unit}` : ""}, `;
  const words = `${bounds}now ${value}. A list, or a range as 1-10:3.`;
  return {
    content: [input, h("p", { class: "quiet-text", id: hint }, words[0].toUpperCase() + words.slice(1))],
    value: () => ({ values: input.value }),
    count: () => countOf(input.value),
  };
}

/** How many numbers a text of values and ranges holds; null where it is not plain. */
function countOf(text) {
  const counts = text.split(",").map((part) => {
    const [, from, to, step = "1"] = RANGE.exec(part.trim()) ?? [];
    return from === undefined ? 1 : Math.floor((Number(to) - Number(from)) / Number(step) + 1e-9) + 1;
  });
  const sum = counts.reduce((one, other) => one + other, 0);
  return Number.isFinite(sum) ? sum : null;
}

function choiceEditor({ full, choices, value }, onchange) {
  const boxes = choices.map((choice) => h("input", { type: "checkbox", checked: choice.value === value, onchange }));
  const labels = choices.map(({ title }, place) => h("label", { class: "choice" }, boxes[place], title));
  const ticked = () => choices.filter((_, place) => boxes[place].checked).map((choice) => choice.value);
  return {
    content: h("div", { class: "grid-choices", role: "group", "aria-label": `Values of ${full}` }, labels),
    value: () => ({ values: ticked() }),
    count: () => ticked().length,
  };
}

/** Texts that take the place of one in the prompt, or of the whole prompt. */
function promptEditor({ full, value }, onchange) {
  const [search, hint] = [randomId(4), randomId(4)];
  const replaced = h("input", { type: "text", id: search, "aria-describedby": hint, autocomplete: "off", oninput: onchange });
  const texts = h("textarea", { rows: "4", "aria-label": `${full}: texts, one a line`, placeholder: "One a line", oninput: onchange });
  const lines = () => [...new Set(texts.value.split("\n").map((line) => line.trim()))].filter(Boolean);
  return {
    content: [
      h("label", { for: search }, "Replace"),
      replaced,
      h("p", { class: "quiet-text", id: hint }, value ? `In: ${value}. Empty replaces all of it.` : "Empty replaces all of it."),
      h("span", { class: "grid-with" }, "With"),
      texts,
    ],
    value: () => ({ search: replaced.value.trim(), values: lines() }),
    count: () => lines().length,
  };
}
