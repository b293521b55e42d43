/** Grids and batches: followed while they run, found again after a reload, and a line for each above Generate's progress. */

import { duration, h, iconButton, keyed } from "../core/dom.js";
import { menuButton } from "../layers/menu.js";
import { showSweep } from "./sweep_result.js";

const NAME = "sweeps"; // in the browser's database: the ids that this browser knows
const KEPT = 20;
const LOOK = 700; // ms between two looks while one runs
const RETRY = 3000; // ms until the next look at a server that does not answer
const LEAST = 0.005; // share of the work after which the time left is told

/** Follows the sweeps that this browser began; `state.sweeps` are as cnet_app/ui/calls/jobs/sweeps.py describes them. */
class Sweeps {
  #app;
  #ids = [];
  #look = 0;
  #timer = 0;
  #begun = new Map();

  constructor(app) {
    this.#app = app;
    app.store.patch({ sweeps: [] });
    this.#load();
  }

  /** Follow a sweep that was just begun. */
  add(id) {
    this.#keep([id, ...this.#ids.filter((known) => known !== id)].slice(0, KEPT));
    return this.look();
  }

  /** Forget a sweep; its pictures and its folder stay. */
  dismiss(id) {
    this.#keep(this.#ids.filter((known) => known !== id));
    this.#app.store.patch({ sweeps: this.#app.store.state.sweeps.filter(({ sweep }) => sweep !== id) });
  }

  async cancel(id) {
    await this.#app.attempt(() => this.#app.server.call("cancel_sweep", { sweep: id }));
    await this.look();
  }

  async resume(id) {
    this.#begun.delete(id);
    await this.#app.attempt(() => this.#app.server.call("resume_sweep", { sweep: id }));
    await this.look();
  }

  /** Ask how the sweeps stand, and again in a while as long as one runs. */
  async look() {
    clearTimeout(this.#timer);
    const look = ++this.#look;
    const answer = await this.#app.server.call("sweeps", { ids: this.#ids }).catch(() => null);
    if (look !== this.#look) return;
    if (answer) this.#take(answer.sweeps);
    const isOn = this.#app.store.state.sweeps.some(isRunning);
    if (isOn || !answer) this.#timer = setTimeout(() => this.look(), answer ? LOOK : RETRY);
  }

  async #load() {
    const known = (await this.#app.blobs.readValue(NAME)) ?? [];
    this.#ids = [...new Set([...this.#ids, ...known])];
    await this.look();
  }

  #keep(ids) {
    this.#ids = ids;
    this.#app.blobs.writeValue(NAME, ids);
  }

  #take(sweeps) {
    const before = new Map(this.#app.store.state.sweeps.map((sweep) => [sweep.sweep, sweep]));
    for (const sweep of sweeps) if (isRunning(before.get(sweep.sweep)) && sweep.status === "done") this.#app.say(endOf(sweep));
    const found = sweeps.map(({ sweep }) => sweep);
    if (found.some((id) => !this.#ids.includes(id))) this.#keep([...new Set([...this.#ids, ...found])].slice(0, KEPT));
    this.#app.store.patch({ sweeps: sweeps.map((sweep) => ({ ...sweep, left: this.#secondsLeft(sweep) })) });
  }

  /** Seconds left by the pace since this page saw the sweep first; null while that is not known. */
  #secondsLeft(sweep) {
    if (!isRunning(sweep)) {
      this.#begun.delete(sweep.sweep);
      return null;
    }
    const now = performance.now() / 1000;
    if (!this.#begun.has(sweep.sweep)) this.#begun.set(sweep.sweep, { now, fraction: sweep.fraction });
    const first = this.#begun.get(sweep.sweep);
    const done = sweep.fraction - first.fraction;
    return done > LEAST ? ((now - first.now) * (1 - sweep.fraction)) / done : null;
  }
}

function isRunning(sweep) {
  return sweep?.status === "running";
}

function endOf({ name, done, failed }) {
  const made = `${name}: ${done} ${done === 1 ? "picture is" : "pictures are"} finished`;
  return failed ? `${made}, ${failed} could not be made.` : `${made}.`;
}

/** The button beside Generate with the other ways to make pictures. */
export function buildMoreWays(app) {
  return menuButton(iconButton("more", "More ways to generate", null, { id: "more-ways" }), "More ways to generate", () => [
    { title: "Grid …", note: "Vary one to three settings and compare", act: () => app.openDialog("grid") },
    { title: "Batch …", note: "Many pictures through these settings", act: () => app.openDialog("batch") },
  ]);
}

/** A line a grid or batch: how far it is, and what can be done with it. */
export function buildSweeps(app) {
  app.sweeps = new Sweeps(app);
  const list = h("ul", { class: "sweeps", "aria-label": "Grids and batches" });
  app.store.on(
    ({ sweeps }) => sweeps,
    (sweeps) => {
      list.hidden = !sweeps.length;
      keyed(
        list,
        sweeps,
        ({ sweep }) => sweep,
        ({ sweep }) => buildRow(app, sweep),
        (row, sweep) => row.show(sweep),
      );
    },
  );
  return list;
}

function buildRow(app, id) {
  const title = h("span", { class: "sweep-title" });
  const words = h("span", { class: "sweep-words" });
  const bar = h("progress", { max: "1" });
  const button = (text, onclick) => h("button", { type: "button", class: "sweep-button", onclick }, text);
  const cancel = button("Cancel", () => app.sweeps.cancel(id));
  const resume = button("Resume", () => app.sweeps.resume(id));
  const show = button("Show", () => showSweep(app, id));
  const dismiss = iconButton("cancel", "Dismiss", () => app.sweeps.dismiss(id));
  const row = h("li", { class: "sweep" }, h("div", { class: "sweep-text" }, title, words), show, resume, cancel, dismiss, bar);
  row.show = (sweep) => {
    const isOn = isRunning(sweep);
    title.textContent = title.title = sweep.name;
    words.textContent = words.title = wordsOf(sweep);
    bar.hidden = cancel.hidden = !isOn;
    bar.value = sweep.fraction;
    bar.setAttribute("aria-label", `Progress of ${sweep.name}`);
    resume.hidden = isOn || sweep.done >= sweep.total;
    show.hidden = !(sweep.png || sweep.last);
    dismiss.hidden = isOn;
    for (const control of [cancel, resume, show]) control.setAttribute("aria-label", `${control.textContent}: ${sweep.name}`);
  };
  return row;
}

/** How a sweep stands, as 3 of 12 · about 2 min left. */
function wordsOf({ status, done, failed, total, left, fault }) {
  const count = `${done} of ${total}`;
  const faults = failed ? ` · ${failed} failed` : "";
  const state = { running: left === null ? "" : ` · about ${duration(left)} left`, cancelled: " · cancelled", interrupted: " · interrupted" };
  return `${count}${faults}${state[status] ?? ""}${fault ? ` · ${fault}` : ""}`;
}
