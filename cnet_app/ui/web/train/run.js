/** One run: how it stands, what can be done with it, its curves and its samples; followed while it is shown. */

import { duration, fill, h, setText } from "../core/dom.js";
import { open } from "../dialogs/boards.js";
import { refreshModels } from "../dialogs/models.js";
import { chooseBase } from "../desk/chosen.js";
import { openCondition } from "../page/rail.js";
import { Chart } from "./chart.js";
import { Further } from "./further.js";
import { Samples } from "./samples.js";
import { Series, smoothed } from "./series.js";
import { OVERFITS, convergenceWords, longState } from "./states.js";

const LOOK = 1000; // ms between two looks while it runs
const REST = 4000; // ms between two looks else
const FURTHER = [
  { name: "learning_rate", title: "Learning rate" },
  { name: "seconds", title: "Seconds a step" },
  { name: "memory_mb", title: "Memory (MB)" },
]; // values of a step that have a chart of their own, below the two that matter

export class Run {
  #app;
  #view;
  #name;
  #byte = 0;
  #series = new Series();
  #timer = 0;
  #standing = "";
  #isClosed = false;

  constructor(app, name, view) {
    [this.#app, this.#name, this.#view] = [app, name, view];
    this.agreement = new Chart("Agreement with the probes", { range: [0, 1], note: "0 to 1; held-out maps, annotated again" });
    this.loss = new Chart("Loss", { isLog: true, note: "logarithmic; smoothed, with the single steps behind" });
    this.further = FURTHER.map(({ name, title }) => ({ name, title, chart: new Chart(title) }));
    this.samples = new Samples(app);
    this.change = new Further(app, name, () => this.#look());
    this.element = this.#build();
    this.#look();
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const chart of [this.agreement, this.loss, ...this.further.map(({ chart }) => chart)]) chart.close();
  }

  #build() {
    this.state = h("p", { class: "run-state", role: "status" });
    this.bar = h("progress", { max: "1", "aria-label": `Progress of ${this.#name}` });
    this.buttons = this.#buildButtons();
    this.estimate = h("p", { class: "quiet-text" });
    this.converged = h("p", { class: "run-converged" });
    this.overfits = h("p", { class: "warning", role: "alert", hidden: true }, OVERFITS);
    this.notes = h("ul", { class: "run-notes quiet-text" });
    this.figures = h("dl", { class: "run-figures" });
    return h(
      "article",
      { class: "run", "aria-label": this.#name },
      h("header", { class: "run-head" }, h("h3", {}, this.#name), this.facts = h("span", { class: "quiet-text" })),
      this.state,
      this.bar,
      h("div", { class: "run-buttons" }, Object.values(this.buttons)),
      this.change.element,
      this.converged,
      this.overfits,
      this.figures,
      h("div", { class: "run-charts" }, this.agreement.element, this.loss.element),
      h("details", { class: "run-further" }, h("summary", {}, "Learning rate, speed and memory"), h("div", { class: "run-charts" }, this.further.map(({ chart }) => chart.element))),
      this.samples.element,
      this.notes,
      this.estimate,
    );
  }

  #buildButtons() {
    const button = (id, text, onclick, main = false) => h("button", { type: "button", id: `run-${id}`, class: main ? "primary" : "", onclick }, text);
    const act = (call) => () => this.#act(() => this.#app.server.call(call, { name: this.#name }));
    return {
      attempt: button("try", "Try it now", () => this.#try(false), true),
      best: button("best", "", () => this.#try(true)),
      resume: button("resume", "Resume", act("resume_training")),
      pause: button("pause", "Pause", act("pause_training")),
      stop: button("stop", "Stop", act("stop_training")),
      remove: button("delete", "Delete…", () => this.#delete()),
    };
  }

  /** Do what may be refused, then look at once. */
  async #act(act) {
    this.#app.store.patch({ error: "" });
    await this.#app.attempt(act);
    await this.#look();
  }

  async #look() {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    const answer = await this.#app.server.call("follow_training", { name: this.#name, byte: this.#byte }).catch(() => null);
    if (this.#isClosed) return;
    if (answer && answer.byte >= this.#byte) {
      this.#byte = answer.byte;
      this.#series.add(answer.records);
      this.#show(answer);
    }
    clearTimeout(this.#timer); // another look may have begun meanwhile
    this.#timer = setTimeout(() => this.#look(), answer?.training.is_busy ? LOOK : REST);
  }

  #show({ training, probes }) {
    const { standing, step, steps, plan, converged, estimate, is_busy: isBusy } = training;
    const left = this.#series.secondsOf(steps - step, plan.probe_every);
    if (this.#standing && standing !== this.#standing) this.#view.refresh();
    this.#standing = standing;
    setText(this.state, longState(training, left));
    this.element.dataset.standing = standing;
    this.bar.value = step / steps;
    setText(this.facts, `${this.#titleOf(plan.condition)} on ${plan.base}, ${plan.size} px, ${plan.batch_size} pairs a step`);
    setText(this.estimate, estimate);
    setText(this.converged, convergenceWords(training));
    this.converged.hidden = !this.converged.textContent;
    this.overfits.hidden = !training.overfits;
    fill(this.notes, training.notes.map((note) => h("li", {}, note)));
    this.#showButtons(training, isBusy);
    this.change.show(training);
    this.#showFigures(left, isBusy);
    const marks = converged ? [{ x: converged.at, label: "Sudden convergence" }] : [];
    const losses = this.#series.points("loss");
    this.agreement.show([{ name: "Agreement", points: this.#series.scores(), hasDots: true }], step, marks);
    const curves = [{ name: "Single steps", points: losses, isFaint: true }, { name: "Loss, smoothed", points: smoothed(losses) }];
    this.loss.show(curves, step, marks);
    for (const { name, title, chart } of this.further) chart.show([{ name: title, points: this.#series.points(name) }], step);
    this.samples.show(this.#series.looks, probes, converged?.at);
  }

  #showButtons({ standing, checkpoint, best_checkpoint: best, wish, plan }, isBusy) {
    const { attempt, best: useBest, resume, pause, stop, remove } = this.buttons;
    resume.hidden = isBusy || standing === "done";
    pause.hidden = stop.hidden = !isBusy;
    pause.disabled = stop.disabled = Boolean(wish);
    remove.hidden = isBusy;
    useBest.hidden = !best || best === checkpoint || plan.network === "lite";
    useBest.disabled = this.isTrying === true;
    setText(useBest, `Use the best checkpoint (step ${best})`);
    attempt.disabled = !checkpoint || plan.network === "lite" || this.isTrying === true;
    attempt.title = attempt.disabled && !this.isTrying ? reasonNotToTry(plan) : `Use it in the ${this.#titleOf(plan.condition)} tab`;
  }

  #showFigures(left, isBusy) {
    const last = this.#series.steps.at(-1);
    const rows = last
      ? [
          ["Learning rate", last.learning_rate.toPrecision(2).replace(/\.?0+(e|$)/, "$1")],
          ["Seconds a step", this.#series.pace.toFixed(2)],
          ["Memory", `${Math.round(last.memory_mb).toLocaleString("en")} MB`],
          ...(isBusy && left ? [["Time left", duration(left)]] : []),
        ]
      : [];
    fill(this.figures, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  #titleOf(condition) {
    return this.#app.store.state.tables.conditions.find(({ id }) => id === condition)?.title ?? condition;
  }

  /** Open the condition's tab with this network, as its newest or best checkpoint is. */
  async #try(best) {
    this.isTrying = this.buttons.attempt.disabled = this.buttons.best.disabled = true;
    setText(this.buttons.attempt, "Writing the ControlNet …");
    await this.#act(async () => {
      const { controlnet, step, condition, base } = await this.#app.server.call("try_training", { name: this.#name, best });
      await refreshModels(this.#app);
      if (this.#app.store.state.choices.base.id !== base) await chooseBase(this.#app, base);
      openCondition(this.#app, condition);
      this.#app.drafts.editLayer(this.#app.drafts.now.open, { controlnet });
      this.#view.close();
      this.#app.say(`${this.#titleOf(condition)} uses ${controlnet} as of step ${step}.`);
    });
    this.isTrying = false;
    setText(this.buttons.attempt, "Try it now");
    this.#look();
  }

  async #delete() {
    const dialog = h(
      "dialog",
      { class: "dialog ask", "aria-labelledby": "ask-delete" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "ask-delete" }, `Delete ${this.#name}?`),
        h("p", {}, "Its checkpoints, samples and curves are removed from the disk. A ControlNet that was written stays."),
        h("div", { class: "ask-buttons" }, h("button", { value: "delete" }, "Delete"), h("button", { class: "primary", value: "", autofocus: true }, "Keep")),
      ),
    );
    if ((await open(this.#app, dialog)) !== "delete") return;
    const isGone = await this.#app.attempt(() => this.#app.server.call("delete_training", { name: this.#name }));
    if (isGone) this.#view.refresh("");
  }
}

function reasonNotToTry({ network, checkpoint_every: every, steps }) {
  return network === "lite" ? "A ControlNet-lite is for experiments; no tab takes it" : `From the first checkpoint on, after step ${Math.min(every, steps)}`;
}
