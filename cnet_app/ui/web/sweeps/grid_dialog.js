/** The dialog of a grid: up to three settings and their values, and how much work that is. */

import { openDialog } from "../dialogs/dialogs.js";
import { h } from "../core/dom.js";
import { AxisEditor } from "./grid_axis.js";
import { draftForCall, timeOf } from "./sweep_time.js";

const AXES = ["Columns", "Rows", "Sheets"];
const WAIT = 350; // ms after the last change until the plan is checked

/** Open the dialog for the draft as it is; asks for the download of what its maps need first. */
export async function openGrid(app) {
  await app.attempt(async () => {
    const draft = draftForCall(app);
    const { missing, fields } = await app.blobs.call("sweep_fields", { draft });
    if (missing) return app.askDownload(missing, () => openGrid(app));
    return new GridDialog(app, draft, fields);
  });
}

class GridDialog {
  #app;
  #draft;
  #timer = 0;
  #check = 0;

  constructor(app, draft, fields) {
    this.#app = app;
    this.#draft = draft;
    this.axes = AXES.map((title, place) => new AxisEditor(title, fields, { isOptional: place > 0, onchange: () => this.#changed() }));
    this.name = h("input", { type: "text", id: "grid-name", maxlength: "60" });
    this.plan = h("p", { class: "sweep-plan", role: "status" });
    this.fault = h("p", { class: "warning", role: "alert" });
    this.start = h("button", { type: "button", class: "primary", onclick: () => this.#start() }, "Start the grid");
    this.dialog = openDialog(app, "Grid", this.#content(), { class: "wide sweep-dialog" });
    this.axes[0].focus();
    this.#changed();
  }

  #content() {
    const { count } = this.#draft;
    return [
      h(
        "p",
        { class: "quiet-text" },
        "One picture for each combination, all else as on the desk.",
        count > 1 ? ` The number of pictures there, ${count}, has no effect here.` : "",
      ),
      h(
        "div",
        { class: "grid-axes" },
        this.axes.map(({ element }) => element),
      ),
      h("div", { class: "sweep-name" }, h("label", { for: "grid-name" }, "Name"), this.name),
      this.plan,
      this.fault,
      h("div", { class: "dialog-foot" }, this.start, h("button", { type: "button", onclick: () => this.dialog.close() }, "Not now")),
    ];
  }

  get #chosen() {
    return this.axes.filter(({ isChosen }) => isChosen);
  }

  get #title() {
    return this.#chosen.map(({ title }) => title).join(", ");
  }

  #changed() {
    this.name.placeholder = this.#title || "Grid";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#show(), WAIT);
  }

  /** Check the axes and say how many pictures they are, or why they cannot be. */
  async #show() {
    const check = ++this.#check;
    if (!this.#chosen.length) return this.#say("", "");
    const empty = this.#chosen.find(({ count }) => count === 0);
    if (empty) return this.#say(`${empty.title} has no values yet.`, "");
    try {
      const { pictures, effort } = await this.#app.blobs.call("sweep_plan", { draft: this.#draft, axes: this.#values });
      if (check !== this.#check) return undefined;
      const counts = this.#chosen.length > 1 ? `${this.#chosen.map(({ count }) => count ?? "?").join(" × ")} = ` : "";
      const product = counts.includes("?") ? "" : counts;
      return this.#say(`${product}${pictures} ${pictures === 1 ? "picture" : "pictures"}, ${timeOf(this.#app, effort)}.`, "");
    } catch (refusal) {
      return check === this.#check ? this.#say("", refusal.message) : undefined;
    }
  }

  get #values() {
    return this.#chosen.map(({ value }) => value);
  }

  #say(plan, fault) {
    this.plan.textContent = plan;
    this.fault.textContent = fault;
  }

  async #start() {
    if (this.start.getAttribute("aria-disabled") === "true") return;
    clearTimeout(this.#timer);
    this.#check += 1;
    this.start.setAttribute("aria-disabled", "true");
    try {
      const values = { draft: this.#draft, axes: this.#values, name: this.name.value.trim() || this.#title };
      const { missing, sweep, warnings } = await this.#app.blobs.call("grid", values);
      if (missing) {
        this.#app.askDownload(missing, () => this.#start());
        return;
      }
      this.#app.sweeps.add(sweep);
      warnings.forEach((text) => this.#app.say(text));
      this.dialog.close();
    } catch (refusal) {
      this.#say("", refusal.message);
    } finally {
      this.start.removeAttribute("aria-disabled");
    }
  }
}
