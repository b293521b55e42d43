/** Generate and Cancel, what the running job does, and what a user is told about it. */

import { duration, fill, h, iconButton, keyed } from "../core/dom.js";
import { paceOf, secondsOfPicture } from "../core/pace.js";
import { buildMoreWays } from "../sweeps/sweeps.js";

const SHOWN_FOR = 8000; // ms that a note is shown

/** The two buttons. */
export function buildGenerate(app) {
  const time = h("span", { class: "estimate" });
  const send = ({ detail }) => detail > 1 || app.store.state.isSending || app.jobs.generate(); // a double click is one
  const generate = h("button", { type: "button", class: "primary", id: "generate", title: "Ctrl+Enter", onclick: send }, "Generate", time);
  const cancel = h(
    "button",
    { type: "button", id: "cancel", title: "Esc", onclick: () => app.jobs.cancel(current(app.store.state).id) },
    "Cancel",
  );
  app.store.on(
    ({ ended }) => ended,
    (job) => app.store.patch({ pace: paceOf(job) ?? app.store.state.pace }),
  );
  app.store.on(
    ({ pace, frame, draft, choices }) => [pace, frame, draft.count, draft.settings, choices],
    () => (time.textContent = estimate(app.store.state)),
  );
  // Not "disabled", which would take the focus away.
  app.store.on(
    ({ isSending }) => isSending,
    (isSending) => generate.setAttribute("aria-disabled", String(isSending)),
  );
  app.store.on(current, (job) => (cancel.hidden = !job));
  return h("div", { class: "go" }, generate, buildMoreWays(app), cancel);
}

/** The job that Cancel is about: the running one, else the first that waits. */
function current({ running, jobs }) {
  return running ?? jobs.find(({ kind }) => kind !== "download") ?? null;
}

function estimate(state) {
  const seconds = secondsOfPicture(state);
  return seconds === null ? "" : `≈ ${duration(seconds * state.draft.count)}`;
}

/** Bar and words of the job that runs or waits. */
export function buildProgress(app) {
  const bar = h("progress", { max: "1", "aria-label": "Progress" });
  const words = h("span", { class: "progress-words" });
  const element = h("div", { class: "progress" }, bar, words);
  app.store.on(current, (job) => {
    element.hidden = !job;
    if (!job) return;
    if (job.status === "running" && !job.doing) bar.value = job.fraction;
    else bar.removeAttribute("value");
    words.textContent = progressText(job);
  });
  return element;
}

function progressText({ status, doing, place, step, steps, image_index, num_images }) {
  const picture = num_images > 1 ? ` · picture ${image_index + 1} of ${num_images}` : "";
  if (doing) return doing + (status === "running" ? picture : "");
  if (status === "queued") return place > 1 ? `Waiting: place ${place} in line` : "Waiting: next in line";
  return steps ? `Step ${step} of ${steps}${picture}` : "Starting";
}

/** The sentence of what was refused or failed, until it is dismissed. */
export function buildError(app) {
  const words = h("span");
  const alert = h("div", { role: "alert" }, words);
  const dismiss = iconButton("cancel", "Dismiss", () => app.store.patch({ error: "" }));
  const element = h("div", { class: "error" }, alert, dismiss);
  app.store.on(
    ({ error }) => error,
    (error) => {
      element.hidden = !error;
      words.textContent = error;
    },
  );
  return element;
}

/** Notes; each goes by itself after a while, but not under the pointer. */
export function buildNotes(app) {
  const list = h("ul", { class: "notes", "aria-label": "Notes" });
  const element = h("div", { role: "status" }, list);
  let isHeld = false;
  const remove = (id) => app.store.patch({ messages: app.store.state.messages.filter((message) => message.id !== id) });
  const wait = (id) => setTimeout(() => (isHeld ? wait(id) : remove(id)), SHOWN_FOR);
  const hold = (value) => () => (isHeld = value);
  list.addEventListener("pointerenter", hold(true));
  list.addEventListener("pointerleave", hold(false));
  list.addEventListener("focusin", hold(true));
  list.addEventListener("focusout", hold(false));
  const build = ({ id, text }) => {
    wait(id);
    return h(
      "li",
      {},
      h("span", {}, text),
      iconButton("cancel", "Dismiss", () => remove(id)),
    );
  };
  app.store.on(
    ({ messages }) => messages,
    (messages) => {
      keyed(list, messages, ({ id }) => id, build);
      element.hidden = !messages.length;
      if (!messages.length) isHeld = false;
    },
  );
  return element;
}

/** What a screen reader is told: that it begins, every finished picture, that it ends. */
export function buildAnnouncer(app) {
  const region = h("div", { class: "unseen", role: "status" });
  const tell = (text) => fill(region, text);
  app.store.on(
    ({ running }) => running,
    (now, before) => {
      if (!now) return;
      if (now.id !== before?.id) tell(now.num_images > 1 ? `Making ${now.num_images} pictures.` : "Making a picture.");
      else if (now.pictures.length > before.pictures.length) tell(`Picture ${now.pictures.length} of ${now.num_images} is finished.`);
    },
  );
  app.store.on(
    ({ ended }) => ended,
    (job) => {
      if (job) tell({ done: "Finished.", cancelled: "Cancelled." }[job.status] ?? "");
    },
  );
  return region;
}
