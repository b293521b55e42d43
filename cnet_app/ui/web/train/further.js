/** Going on with a run that does not run: with changes of its plan that are safe, or further than its last step. */

import { fill, h, setText } from "../core/dom.js";
import { field, labelOf, labelled } from "../layers/fields.js";

const FRONT = ["steps", "learning_rate"]; // shown first
const FOLDERS = { data: "Folder of pairs", validation: "Validation data" };

export class Further {
  #app;
  #name;
  #resumed;
  #plan = null;
  #isDone = false;
  #isBuilt = false;
  #values = {};

  /** `resumed` is called after the run has been resumed. */
  constructor(app, name, resumed) {
    [this.#app, this.#name, this.#resumed] = [app, name, resumed];
    this.summary = h("summary", {});
    this.front = h("div", { class: "plan-grid" });
    this.rest = h("div", { class: "plan-grid" });
    const more = h("details", { class: "plan-more" }, h("summary", {}, "More settings"), this.rest);
    this.refused = h("p", { class: "warning", role: "alert", hidden: true });
    this.send = h("button", { type: "submit", class: "primary", id: "run-further" });
    const form = h("form", { novalidate: true, onsubmit: (event) => this.#send(event) }, this.front, more, this.refused, this.send);
    this.element = h("details", { class: "plan-more run-change", hidden: true }, this.summary, form);
    this.element.addEventListener("toggle", () => this.#build());
  }

  show({ plan, standing, is_busy: isBusy }) {
    this.#plan = plan;
    this.#isDone = standing === "done";
    this.element.hidden = isBusy;
    setText(this.summary, this.#isDone ? "Train further" : "Resume with changes");
    setText(this.send, this.#isDone ? "Train further" : "Resume with these");
    if (isBusy) [this.element.open, this.#isBuilt] = [false, false]; // what the plan is then shows when it is opened again
  }

  async #build() {
    if (!this.element.open || this.#isBuilt) return;
    this.#isBuilt = true;
    const form = await this.#app.attempt(() => this.#app.server.call("training_form", { base: this.#plan.base }));
    if (!form) return;
    this.#values = this.#isDone ? { steps: Math.round(this.#plan.steps * 1.5) } : {};
    const fields = (names) => names.map((name) => this.#field(name, form));
    fill(this.front, fields(FRONT));
    fill(this.rest, fields(form.changeable.filter((name) => !FRONT.includes(name))));
  }

  #field(name, { numbers, switches, titles }) {
    const value = this.#values[name] ?? this.#plan[name];
    const change = (changed) => {
      this.#values[name] = changed;
      this.refused.hidden = true;
    };
    const label = labelOf(this.#app.store.state.tables, name);
    if (name in numbers) return field(name, numbers[name], value, change, { label, slider: false, titles: titles[name] });
    if (name in switches) return field(name, switches[name], value, change, { label, slider: false });
    const id = `further-${name}`;
    const input = h("input", { type: "text", id, value: value ?? "", autocomplete: "off", spellcheck: "false" });
    input.addEventListener("input", () => change(input.value.trim() || null));
    return labelled(FOLDERS[name], id, "Where the folder lies now; its content must be the same.", input);
  }

  async #send(event) {
    event.preventDefault();
    const changes = Object.fromEntries(Object.entries(this.#values).filter(([name, value]) => value !== this.#plan[name]));
    this.#app.store.patch({ error: "" });
    this.send.disabled = true;
    const answer = await this.#app.attempt(() => this.#app.server.call("resume_training", { name: this.#name, changes }));
    this.send.disabled = false;
    this.refused.hidden = !answer?.refused;
    setText(this.refused, answer?.refused?.message ?? "");
    if (answer && !answer.refused) this.#resumed();
  }
}
