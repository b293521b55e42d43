/** A new training, step by step on one page: data, their check, the plan, start. What was typed survives a reload. */

import { h } from "../core/dom.js";
import { DataCheck } from "./data_check.js";
import { DataStep } from "./data_step.js";
import { Plan } from "./plan.js";

const NAME = "training"; // in the browser's database
const LOOK = 700; // ms between two looks at a build or check

export class NewTraining {
  #app;
  #view;
  #timer = 0;
  #isClosed = false;

  constructor(app, view) {
    [this.#app, this.#view] = [app, view];
    this.values = { folder: "", condition: "", annotator: "", caption: "", plan: {} };
    this.found = null; // what is in the folder, as the server describes it
    this.work = null; // the last build or check
    this.element = h("div", { class: "new-training", "aria-busy": "true" });
    this.#begin();
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  get app() {
    return this.#app;
  }

  /** Change what is typed, and keep it in the browser. */
  change(changes) {
    this.values = { ...this.values, ...changes };
    this.#app.blobs.writeValue(NAME, this.values);
  }

  /** The condition of the data, else of what is to be built. */
  get condition() {
    return this.found?.condition || this.values.condition || this.#app.store.state.draft.condition;
  }

  /** Choose what the maps show. */
  choose(condition) {
    this.change({ condition, annotator: "" });
    this.show();
  }

  /** Look into the folder that is typed. */
  async look() {
    this.#app.store.patch({ error: "" });
    const found = await this.#app.attempt(() => this.#app.server.call("find_data", { path: this.values.folder }));
    if (this.#isClosed) return;
    this.found = found ?? null;
    if (found?.condition) this.change({ condition: found.condition });
    this.show();
  }

  /** Begin a build or check, and follow it. */
  async begin(call, values) {
    this.#app.store.patch({ error: "" });
    await this.#app.attempt(() => this.#app.server.call(call, values));
    await this.#follow();
  }

  async cancel() {
    await this.#app.attempt(() => this.#app.server.call("cancel_data"));
    await this.#follow();
  }

  /** Begin the training; resolves to {field, message} where the plan is refused. */
  async start(plan) {
    this.#app.store.patch({ error: "" });
    const answer = await this.#app.attempt(() => this.#app.server.call("start_training", { plan }));
    if (answer?.name) {
      this.change({ plan: { ...this.values.plan, name: "" } });
      this.#view.refresh(answer.name);
    }
    return answer?.refused ?? null;
  }

  show() {
    this.data.show();
    this.check.show();
    this.plan.show();
  }

  async #begin() {
    const [saved, { work }] = await Promise.all([this.#app.blobs.readValue(NAME), this.#app.server.call("data_state").catch(() => ({ work: null }))]);
    this.values = { ...this.values, ...saved };
    this.work = work;
    [this.data, this.check, this.plan] = [new DataStep(this), new DataCheck(this), new Plan(this)];
    await this.plan.load();
    if (this.#isClosed) return;
    this.element.replaceChildren(this.data.element, this.check.element, this.plan.element);
    this.show();
    if (this.values.folder) await this.look();
    if (work?.status === "running") await this.#follow();
    this.element.removeAttribute("aria-busy");
  }

  async #follow() {
    clearTimeout(this.#timer);
    const before = this.work;
    const answer = await this.#app.server.call("data_state").catch(() => null);
    if (this.#isClosed) return;
    this.work = answer ? answer.work : before;
    if (!answer || this.work?.status === "running") this.#timer = setTimeout(() => this.#follow(), LOOK);
    else if (this.work?.kind === "build" && this.work.status === "done") return this.#takeBuilt();
    this.show();
  }

  /** What was built is the data from now on, and is checked. */
  async #takeBuilt() {
    const { data, condition } = this.work;
    this.change({ folder: data, condition });
    await this.look();
    await this.begin("check_data", this.check.values());
  }
}
