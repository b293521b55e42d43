/** The third step: the plan, a form of declared fields; what the server refuses is said at its field. */

import { fill, h } from "../core/dom.js";
import { field, labelOf, labelled } from "../layers/fields.js";
import { step } from "./steps.js";

export class Plan {
  #new;
  #form = null; // as cnet_app/ui/calls/training.py describes it
  #fields = new Map();
  #load = 0;

  constructor(owner) {
    this.#new = owner;
    this.fields = h("div", { class: "plan-fields" });
    this.refused = h("p", { class: "warning", role: "alert", hidden: true });
    this.start = h("button", { type: "submit", class: "primary", id: "train-start" }, "Start training");
    const note = h("p", { class: "quiet-text" }, "Memory and time are measured on two steps that change nothing, and said before the first one.");
    this.element = step(3, "Plan", h("form", { novalidate: true, onsubmit: (event) => this.#send(event) }, this.fields, note, this.refused, this.start));
  }

  /** The side that is trained at, in px. */
  size() {
    return this.#value("size");
  }

  /** The prompt of pairs without one. */
  caption() {
    return this.#value("caption") ?? "";
  }

  /** Fetch the fields for the base, and build them. */
  async load() {
    const load = ++this.#load;
    const base = this.#new.values.plan.base ?? this.#new.app.store.state.choices.base.id;
    const form = await this.#new.app.attempt(() => this.#new.app.server.call("training_form", { base }));
    if (!form || load !== this.#load) return;
    this.#form = form;
    this.#build();
  }

  show() {
    this.element.hidden = !this.#new.found?.pairs;
    const name = this.#fields.get("name")?.querySelector("input");
    if (name && !this.#new.values.plan.name && document.activeElement !== name) name.placeholder = this.#name();
    const condition = this.#fields.get("condition");
    if (condition) setWords(condition, this.#titleOf(this.#new.condition));
  }

  #value(name) {
    return this.#new.values.plan[name] ?? this.#form?.suggested[name] ?? this.#form?.numbers[name]?.default;
  }

  #set(name, value) {
    const isDefault = value === "" || value === undefined;
    const { [name]: _, ...rest } = this.#new.values.plan;
    this.#new.change({ plan: isDefault ? rest : { ...rest, [name]: value } });
    this.#refuse(null);
  }

  /** A name that is free as far as this page knows. */
  #name() {
    const folder = this.#new.values.folder.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1);
    const words = folder.replace(/[^A-Za-z0-9_-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 50);
    return words || `my-${this.#new.condition}`;
  }

  #titleOf(condition) {
    return this.#new.app.store.state.tables.conditions.find(({ id }) => id === condition)?.title ?? condition;
  }

  #build() {
    const { numbers, front, switches, texts } = this.#form;
    this.#fields.clear();
    const keep = (name, element) => {
      this.#fields.set(name, element);
      element.append(h("p", { class: "fault", role: "alert", hidden: true, dataset: { refused: name } }));
      return element;
    };
    const rest = Object.keys(numbers).filter((name) => !front.includes(name));
    const isOpen = this.more?.open ?? false;
    this.more = h(
      "details",
      { class: "plan-more" },
      h("summary", {}, "More settings"),
      h(
        "div",
        { class: "plan-grid" },
        rest.map((name) => keep(name, this.#number(name))),
        Object.entries(switches).map(([name, row]) => keep(name, this.#field(name, row, row.default))),
        Object.entries(texts).map(([name, { label, help }]) => keep(name, this.#text(name, label, help))),
      ),
    );
    this.more.open = isOpen;
    fill(
      this.fields,
      h(
        "div",
        { class: "plan-grid" },
        keep("name", this.#text("name", "Name", "Of the training, and of the ControlNet that it makes: letters, digits, - and _.")),
        keep("condition", labelled("Condition", "plan-condition", "", h("output", { id: "plan-condition" }))),
        keep("base", this.#base()),
        front.map((name) => keep(name, this.#number(name))),
      ),
      this.more,
    );
    if (this.#form.refused) this.#refuse({ field: "base", message: this.#form.refused }, false);
    this.show();
  }

  #number(name) {
    const declared = this.#form.numbers[name];
    return this.#field(name, { ...declared, default: this.#form.suggested[name] ?? declared.default }, declared.default);
  }

  #field(name, declared, fallback) {
    const { tables } = this.#new.app.store.state;
    const label = labelOf(tables, name);
    const suggested = this.#form.suggested[name] ?? fallback;
    return field(name, declared, this.#value(name) ?? suggested, (value) => this.#set(name, value), { label, slider: false, titles: this.#form.titles[name] });
  }

  #text(name, label, help) {
    const id = `plan-${name}`;
    const input = h("input", { type: "text", id, value: this.#new.values.plan[name] ?? "", autocomplete: "off", spellcheck: "false" });
    input.addEventListener("input", () => this.#set(name, input.value.trim()));
    return labelled(label, id, help, input);
  }

  #base() {
    const { lists, base } = this.#new.app.store.state.choices;
    const rows = lists.base.filter(({ id }) => id);
    const known = rows.some(({ id }) => id === base.id) ? rows : [{ id: base.id, title: base.title }, ...rows];
    const select = h("select", { id: "plan-base", onchange: () => this.#chooseBase(select.value) }, known.map(({ id, title }) => h("option", { value: id }, title)));
    select.value = this.#form.base;
    return labelled("Base model", "plan-base", "Stays as it is; the ControlNet fits this model and its family.", select);
  }

  #chooseBase(base) {
    this.#set("base", base);
    this.load();
  }

  async #send(event) {
    event.preventDefault();
    const { values, condition } = this.#new;
    const plan = { ...this.#form.suggested, base: this.#form.base, ...values.plan, condition, data: values.folder };
    for (const name of this.#form.fixed) delete plan[name]; // set for another base, and not shown for this one
    this.start.disabled = true;
    this.#refuse(await this.#new.start({ ...plan, name: values.plan.name || this.#name() }));
    this.start.disabled = false;
  }

  /** Say what is refused, at its field where it has one, and move to that. */
  #refuse(refused, moves = true) {
    for (const fault of this.element.querySelectorAll("[data-refused]")) fault.hidden = true;
    const fault = refused && this.element.querySelector(`[data-refused="${refused.field}"]`);
    this.refused.hidden = !refused || Boolean(fault);
    this.refused.textContent = this.refused.hidden ? "" : refused.message;
    if (!fault) return;
    fault.textContent = refused.message;
    fault.hidden = false;
    if (!moves) return;
    if (this.more.contains(fault)) this.more.open = true;
    this.#fields.get(refused.field).querySelector("input, select")?.focus();
  }
}

function setWords(element, words) {
  const output = element.querySelector("output");
  if (output.textContent !== words) output.textContent = words;
}
