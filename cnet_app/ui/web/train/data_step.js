/** The first step: a folder of pairs, or of pictures to build pairs from. */

import { fill, h } from "../core/dom.js";
import { help, labelled } from "../layers/fields.js";
import { refill, showProgress, step } from "./steps.js";

const FORMS =
  "A folder with images and conditioning_images, or with metadata.jsonl or .csv, prompt.json, or .tar shards, is taken as pairs. A folder of pictures alone is one to build pairs from. The path is one on the machine that runs the app.";

export class DataStep {
  #new;

  constructor(owner) {
    this.#new = owner;
    const about = help("Folder", FORMS);
    this.folder = h("input", { type: "text", id: "train-folder", value: owner.values.folder, autocomplete: "off", spellcheck: "false" });
    this.folder.addEventListener("input", () => owner.change({ folder: this.folder.value }));
    this.found = h("div", { class: "train-found", role: "status" });
    this.build = h("div", { class: "train-build" });
    const form = h(
      "form",
      { class: "train-folder", onsubmit: (event) => this.#look(event) },
      h("label", { for: "train-folder" }, "Folder of pairs, or of pictures"),
      about.button,
      this.folder,
      h("button", { type: "submit", id: "train-look" }, "Look"),
    );
    this.element = step(1, "Data", form, about.text, this.found, this.build);
  }

  show() {
    const { values, found } = this.#new;
    if (document.activeElement !== this.folder) this.folder.value = values.folder;
    fill(this.found, found && [h("p", {}, wordsOf(found)), h("ul", { class: "train-pairs" }, found.first.map(shownPair))]);
    this.#showBuild();
  }

  #look(event) {
    event.preventDefault();
    this.#new.look();
  }

  /** Pictures alone get their maps here. */
  #showBuild() {
    const { found, work } = this.#new;
    this.build.hidden = !found || found.pairs > 0;
    if (this.build.hidden) return;
    if (work?.kind === "build" && work.status === "running") {
      showProgress(this.build, this.#new, "Building pairs");
      return;
    }
    const failed = work?.kind === "build" && work.status === "failed" && work.message;
    refill(
      this.build,
      h("p", {}, "Each picture gets its map by a preprocessor:"),
      conditionField(this.#new, "build-condition", "The maps show"),
      this.#annotatorField(),
      this.#captionField(),
      failed && h("p", { class: "warning", role: "alert" }, failed),
      h("button", { type: "button", class: "primary", id: "train-build", onclick: () => this.#begin() }, "Build pairs"),
    );
  }

  #row() {
    return this.#new.app.store.state.tables.conditions.find(({ id }) => id === this.#new.condition);
  }

  #annotatorField() {
    const row = this.#row();
    const rows = row.annotators.map(({ id, title, can_run: canRun }) => h("option", { value: id, disabled: !canRun }, canRun ? title : `${title} (not here)`));
    const select = h("select", { id: "build-annotator", onchange: () => this.#new.change({ annotator: select.value }) }, rows);
    select.value = this.#annotator();
    return labelled("Preprocessor", "build-annotator", "", select);
  }

  #annotator() {
    const row = this.#row();
    const known = row.annotators.some(({ id, can_run: canRun }) => canRun && id === this.#new.values.annotator);
    return known ? this.#new.values.annotator : row.default_annotator;
  }

  #captionField() {
    const input = h("input", { type: "text", id: "build-caption", value: this.#new.values.caption });
    input.addEventListener("input", () => this.#new.change({ caption: input.value }));
    return labelled("Caption", "build-caption", "Prompt of pictures without a .txt file of their own.", input);
  }

  #begin() {
    const { values, condition, plan } = this.#new;
    this.#new.begin("build_data", { images: values.folder, condition, annotator: this.#annotator(), caption: values.caption, size: plan.size() });
  }
}

/** A choice of the condition; it is fixed where the data say which one theirs is. */
export function conditionField(owner, id, label) {
  const rows = owner.app.store.state.tables.conditions.map((row) => h("option", { value: row.id }, row.title));
  const select = h("select", { id, disabled: Boolean(owner.found?.condition), onchange: () => owner.choose(select.value) }, rows);
  select.value = owner.condition;
  return labelled(label, id, "", select);
}

function wordsOf({ pictures, pairs, captions, form, not_read: notRead }) {
  const more = notRead ? ` ${notRead}` : "";
  const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
  if (!pairs) return `${count(pictures, "picture", "pictures")} without maps.${more}`;
  const rest = pictures > pairs ? `, ${count(pictures - pairs, "picture", "pictures")} without a map` : "";
  return `${count(pairs, "pair", "pairs")}${rest}, ${captions ? `${captions.toLocaleString("en")} with a caption` : "no captions"}. Form: ${form}.${more}`;
}

function shownPair({ name, image, control, caption }) {
  const picture = (source, alt) => (source ? h("img", { src: source, alt }) : null);
  return h("li", { title: caption || name }, picture(image, `Picture ${name}`), picture(control, `Map of ${name}`));
}
