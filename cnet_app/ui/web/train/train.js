/** The Train view: a new training step by step, and every run with its curves, samples and what can be done with it. */

import { h, iconButton, keyed, setText } from "../core/dom.js";
import { NewTraining } from "./new_training.js";
import { Run } from "./run.js";
import { shortState } from "./states.js";

const LOOK = 2000; // ms between two looks at the list of runs

/** Open the trainings over the page; Escape returns. */
export function openTrain(app) {
  app.train ??= new TrainView(app);
  app.train.open();
}

class TrainView {
  #app;
  #timer = 0;
  #content = null;
  #chosen = null;

  constructor(app) {
    this.#app = app;
    this.list = h("ul", { class: "train-list" });
    this.content = h("div", { class: "train-content" });
    this.dialog = this.#build();
    app.root.append(this.dialog);
    this.dialog.addEventListener("close", () => this.#rest());
  }

  async open() {
    if (this.dialog.open) return;
    this.#app.store.patch({ error: "" });
    this.dialog.showModal();
    const trainings = await this.#look();
    if (this.#content) return; // chosen while the list was on its way
    const running = trainings.find((training) => training.is_busy) ?? trainings[0];
    this.show(this.#chosen ?? running?.name ?? "");
  }

  close() {
    this.dialog.close();
  }

  /** Show a run by its name, or with an empty name the form of a new one. */
  show(name) {
    this.#content?.close();
    this.#chosen = name;
    this.#content = name ? new Run(this.#app, name, this) : new NewTraining(this.#app, this);
    this.content.replaceChildren(this.#content.element);
    this.content.scrollTop = 0;
    for (const button of this.dialog.querySelectorAll(".train-choice")) mark(button, button.dataset.name === name);
  }

  /** Ask for the list at once; `name` is shown then. */
  async refresh(name = null) {
    await this.#look();
    if (name !== null) this.show(name);
  }

  #build() {
    const error = h("p", { class: "library-error", role: "alert" });
    this.#app.store.on(
      ({ error: text }) => text,
      (text) => {
        error.textContent = text;
        error.hidden = !text;
      },
    );
    const create = this.#choice("", "New training");
    create.id = "train-new";
    return h(
      "dialog",
      { class: "library train", "aria-labelledby": "train-title" },
      h("header", { class: "library-head" }, h("h2", { id: "train-title" }, "Train"), h("span", { class: "bar-space" }), iconButton("cancel", "Close (Esc)", () => this.close())),
      error,
      h("div", { class: "train-body" }, h("nav", { class: "train-runs", "aria-label": "Trainings" }, create, this.list), this.content),
    );
  }

  #choice(name, ...parts) {
    return h("button", { type: "button", class: "quiet train-choice", dataset: { name }, onclick: () => this.show(name) }, parts);
  }

  async #look() {
    clearTimeout(this.#timer);
    const answer = await this.#app.server.call("trainings").catch(() => null);
    if (this.dialog.open) this.#timer = setTimeout(() => this.#look(), LOOK);
    if (!answer) return [];
    keyed(
      this.list,
      answer.trainings,
      ({ name }) => name,
      ({ name }) => h("li", {}, this.#choice(name, h("span", { class: "train-name" }, name), h("span", { class: "quiet-text" }))),
      (item, training) => this.#showItem(item.firstChild, training),
    );
    return answer.trainings;
  }

  #showItem(button, training) {
    const words = shortState(training);
    button.title = `${training.name}: ${words}`;
    setText(button.querySelector(".quiet-text"), words);
    mark(button, training.name === this.#chosen);
  }

  /** While the view is closed nothing is asked. */
  #rest() {
    clearTimeout(this.#timer);
    this.#content?.close();
    this.#content = null;
    this.content.replaceChildren();
  }
}

function mark(button, isChosen) {
  if (isChosen) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}
