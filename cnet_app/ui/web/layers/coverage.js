/** Where all layers together push, as a picture on the stage; and each layer's share of the last picture's control. */

import { h } from "../core/dom.js";
import { titleOfLayer } from "./layer_actions.js";
import { bitmapOf } from "../core/maps.js";

const PATIENCE = 300; // ms without a change before the picture is made again
const VIEW = "coverage";

/** Build {button, note}: the button shows and hides the view, the note says what is seen. */
export function buildCoverage(app) {
  const { store } = app;
  const button = h("button", { type: "button", class: "quiet", title: "Show where all layers together push", onclick: toggle }, "Coverage");
  const note = h("p", { class: "note", role: "status", hidden: true });
  let before = "photo";
  let run = 0;
  let timer = 0;
  async function toggle() {
    if (store.state.view === VIEW) app.show(before);
    else if (await make()) {
      before = store.state.view;
      app.show(VIEW);
    }
  }
  async function make() {
    const mine = ++run;
    return app.attempt(async () => {
      const { draft, frame } = store.state;
      const made = await app.blobs.call("coverage", { draft: { ...draft, stash: null, frame } });
      if (mine !== run) return false;
      if (made.missing) {
        app.askDownload?.(made.missing, () => toggle());
        return false;
      }
      store.patch({ coverage: await bitmapOf(made.image) });
      note.textContent = `From ${made.least} to ${made.most}. ${made.legend}`;
      return true;
    });
  }
  store.on(({ view, draft, frame }) => [view, draft.layers, frame], ([view], old) => {
    button.setAttribute("aria-pressed", String(view === VIEW));
    note.hidden = view !== VIEW;
    clearTimeout(timer);
    if (view === VIEW && old?.[0] === VIEW) timer = setTimeout(make, PATIENCE);
  });
  store.on(({ draft }) => draft.layers.length, (count) => (button.disabled = !count));
  return { button, note };
}

/**
 * Follow the jobs of this page: after each, `state.shares` is each layer's share of all control, by its id, and
 * `state.fighting` a hint where layers cancel each other out, else "".
 */
export function followShares(app) {
  const { store } = app;
  const sent = new Map(); // by job: the ids of the layers it was made with
  let active = [];
  store.on(({ isSending }) => isSending, (isSending) => {
    if (isSending) active = store.state.draft.layers.filter(({ enabled }) => enabled).map(({ id }) => id);
  });
  store.on(({ sent: jobs }) => jobs, (jobs) => jobs?.forEach((job) => sent.set(job, active)));
  store.on(({ ended }) => ended, async (job) => {
    const ids = sent.get(job?.id);
    if (!ids?.length || ids.length !== job.norms.length) {
      if (job) store.patch({ shares: {}, fighting: "" });
      return;
    }
    sent.delete(job.id);
    store.patch({ shares: sharesOf(ids, job.norms), fighting: "" });
    await hint(app, ids, job.norms);
  });
}

async function hint({ server, store }, ids, norms) {
  try {
    const { hint: text } = await server.call("fighting", { norms });
    const { draft } = store.state;
    const titles = ids.map((id) => draft.layers.find((layer) => layer.id === id)).map((layer) => layer && titleOfLayer(store.state, layer));
    store.patch({ fighting: named(text ?? "", titles) });
  } catch (refusal) {
    console.warn(refusal);
  }
}

/** A hint with the titles of the layers in place of their numbers. */
function named(text, titles) {
  return text.replace(/\blayer (\d+)/gi, (words, number) => titles[number - 1] ?? words);
}

/** Each unit's part of the sum of all norms, by its layer's id; empty where there is only one. */
function sharesOf(ids, norms) {
  const sums = norms.map((row) => row.reduce((sum, norm) => sum + norm, 0));
  const whole = sums.reduce((sum, one) => sum + one, 0);
  if (ids.length < 2 || !(whole > 0)) return {};
  return Object.fromEntries(ids.map((id, index) => [id, sums[index] / whole]));
}
