/** The second step: what is wrong with the pairs, with file and line, and the worst of them as a sheet. */

import { h } from "../core/dom.js";
import { labelled } from "../layers/fields.js";
import { conditionField } from "./data_step.js";
import { refill, showProgress, step } from "./steps.js";

export class DataCheck {
  #new;

  constructor(owner) {
    this.#new = owner;
    this.body = h("div", { class: "train-check" });
    this.element = step(2, "Check", this.body);
  }

  /** What the check is asked for. */
  values() {
    const { values, condition, plan } = this.#new;
    return { data: values.folder, validation: values.plan.validation ?? "", condition, size: plan.size(), caption: plan.caption() };
  }

  show() {
    const { found, work } = this.#new;
    this.element.hidden = !found?.pairs;
    if (this.element.hidden) return;
    const isOurs = work?.kind === "check" && work.data === found.path;
    if (isOurs && work.status === "running") {
      showProgress(this.body, this.#new, "Checking the data");
      return;
    }
    refill(
      this.body,
      conditionField(this.#new, "check-condition", "The maps show"),
      this.#validationField(),
      h("button", { type: "button", id: "train-check", onclick: () => this.#new.begin("check_data", this.values()) }, isOurs ? "Check again" : "Check the data"),
      isOurs && this.#result(work),
    );
  }

  /** It is a setting of the plan too. */
  #validationField() {
    const { plan } = this.#new.values;
    const input = h("input", { type: "text", id: "check-validation", value: plan.validation ?? "", autocomplete: "off", spellcheck: "false" });
    input.addEventListener("input", () => {
      const { validation: _, ...rest } = this.#new.values.plan;
      const given = input.value.trim();
      this.#new.change({ plan: given ? { ...rest, validation: given } : rest });
    });
    return labelled("Validation data", "check-validation", "Folder of pairs for the probes. Left out, some of the data are held out. The check finds pictures that are in both.", input);
  }

  #result({ status, message, pairs, problems, sheet }) {
    if (status === "failed") return h("p", { class: "warning", role: "alert" }, message);
    if (status !== "done") return null;
    const count = problems.reduce((sum, row) => sum + row.count, 0);
    const words = count ? `${count} ${count === 1 ? "problem" : "problems"} in ${pairs} pairs. A training can begin all the same.` : `Nothing found in ${pairs} pairs.`;
    return [h("p", { id: "check-result", role: "status" }, words), problems.map(shownKind), sheet && this.#sheet(sheet)];
  }

  #sheet(path) {
    const source = this.#new.app.server.fileUrl(path);
    return h("details", {}, h("summary", {}, "The worst pairs"), h("a", { href: source, target: "_blank" }, h("img", { class: "check-sheet", src: source, alt: "Contact sheet of the worst pairs, each picture beside its map", loading: "lazy" })));
  }
}

function shownKind({ title, count, messages }) {
  const more = count > messages.length ? h("li", {}, `… and ${count - messages.length} more`) : null;
  return h("details", {}, h("summary", {}, `${title[0].toUpperCase()}${title.slice(1)}: ${count}`), h("ul", {}, messages.map((message) => h("li", {}, message)), more));
}
