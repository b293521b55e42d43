/** The queue: what runs and waits, in which order; and what ended too early and can go on. */

import { alertsOn, listenForEnds, switchAlert } from "./alerts.js";
import { duration, fill, h, icon, iconButton, keyed, setText } from "../core/dom.js";
import { withPopover } from "../desk/popover.js";

const OFFERED = "studio-not-continued";
const MOST_KEPT = 200;

/** A button with the number of jobs and the time left, and the panel with all of them. */
export function buildQueue(app) {
  const words = h("span"); // stays while its text changes: a click whose target is replaced before the release is lost
  const button = h("button", { type: "button", class: "quiet queue-button", id: "queue" }, icon("queue"), words);
  const list = h("ol", { class: "queue-list", "aria-label": "Jobs" });
  const empty = h("p", { class: "queue-empty" }, "Queue is empty.");
  const others = h("p", { class: "queue-others" });
  const all = h("button", { type: "button", id: "cancel-all", onclick: () => app.attempt(() => app.server.call("cancel_all")) }, "Cancel all");
  const rest = h("div", { class: "queue-rest" });
  app.store.on(
    ({ jobs, others: count, unfinished }) => [jobs, count, unfinished],
    ([jobs, count, unfinished]) => {
      const text = [buttonText(jobs), unfinished && `${unfinished} to continue`].filter(Boolean).join(" · ");
      setText(words, text);
      words.classList.toggle("unseen", !jobs.length && !unfinished);
      button.setAttribute("aria-label", jobs.length ? `Queue: ${text}` : text);
      button.title = text;
      keyed(list, jobs, ({ id }) => id, (job) => buildJob(app, job), (item, job) => updateJob(app, item, job));
      empty.hidden = jobs.length > 0;
      all.hidden = jobs.length < 2;
      others.textContent = count ? `${count} ${count === 1 ? "job" : "jobs"} of others` : "";
      others.hidden = !count;
    },
  );
  app.store.on(({ ended }) => ended, () => offerRest(app, rest));
  listenForEnds(app);
  const content = [h("h2", {}, "Queue"), empty, list, all, others, rest, h("div", { class: "queue-alerts" }, alertSwitch("sound", "Sound when a job ends"), alertSwitch("notification", "Notification when a job ends"))];
  const parts = withPopover(button, { class: "queue-panel", "aria-label": "Queue" }, content, () => offerRest(app, rest));
  parts.forEach((part) => part.addEventListener("keydown", (event) => closeOnEscape(event, parts[1])));
  return h("span", { class: "queue" }, parts);
}

/** Escape closes the panel, and does not cancel the job as well. */
function closeOnEscape(event, panel) {
  if (event.key !== "Escape" || !panel.matches(":popover-open")) return;
  event.preventDefault();
  event.stopPropagation();
  panel.hidePopover();
}

function buttonText(jobs) {
  if (!jobs.length) return "Queue is empty";
  const running = jobs.find(({ status }) => status === "running");
  const left = jobs.at(-1).seconds_left;
  const parts = [jobs.length === 1 ? "1 job" : `${jobs.length} jobs`, running && percentOf(running), left && duration(left)];
  return parts.filter(Boolean).join(" · ");
}

function percentOf({ fraction }) {
  return `${Math.round(100 * fraction)} %`;
}

function buildJob(app, { id }) {
  const move = (step) => () => app.attempt(() => app.server.call("move", { job: id, place: placeOf(app, id) + step }));
  return h(
    "li",
    {},
    h("div", { class: "queue-about" }, h("span", { class: "queue-title" }), h("span", { class: "queue-state" }), h("progress", { max: "1", "aria-label": "Progress" })),
    iconButton("up", "Earlier", move(-1), { class: "icon-button queue-up" }),
    iconButton("down", "Later", move(1), { class: "icon-button queue-down" }),
    iconButton("cancel", "Cancel this job", () => app.jobs.cancel(id), { class: "icon-button queue-cancel" }),
  );
}

/** The place of a waiting job among the visitor's own, from 1. */
function placeOf(app, id) {
  return waiting(app).findIndex((job) => job.id === id) + 1;
}

function waiting(app) {
  return app.store.state.jobs.filter(({ status }) => status === "queued");
}

function updateJob(app, item, job) {
  const find = (name) => item.querySelector(`.queue-${name}`);
  const isRunning = job.status === "running";
  find("title").textContent = titleOf(job);
  find("title").title = job.prompt;
  find("state").textContent = stateOf(job);
  item.querySelector("progress").hidden = !isRunning;
  item.querySelector("progress").value = job.fraction;
  find("cancel").setAttribute("aria-label", `Cancel: ${titleOf(job)}`);
  const place = placeOf(app, job.id);
  find("up").hidden = find("down").hidden = isRunning || waiting(app).length < 2;
  find("up").disabled = place <= 1;
  find("down").disabled = place >= waiting(app).length;
}

function titleOf({ kind, prompt, num_images: count }) {
  const what = { download: "Download", upscale: "Upscale" }[kind] ?? (count > 1 ? `${count} pictures` : "Picture");
  return prompt ? `${what}: ${prompt}` : what;
}

function stateOf(job) {
  const left = job.seconds_left ? `, ${duration(job.seconds_left)} left` : "";
  if (job.status === "queued") return `Place ${job.place}${left}`;
  const picture = job.num_images > 1 ? `picture ${job.image_index + 1} of ${job.num_images}, ` : "";
  return job.doing || `${picture}${percentOf(job)}${left}`;
}

/** List what ended too early; each is offered until it was continued or refused. */
async function offerRest(app, element) {
  const { jobs } = await app.server.call("unfinished").catch(() => ({ jobs: [] }));
  const done = new Set(settled());
  const active = new Set(app.store.state.jobs.map(({ id }) => id));
  const offers = jobs.filter(({ id }) => !done.has(id) && !active.has(id));
  app.store.patch({ unfinished: offers.length });
  fill(element, offers.length > 0 && [h("h3", {}, "Not finished"), h("ul", { class: "queue-list" }, offers.map((job) => offer(app, job, element)))]);
}

function offer(app, job, element) {
  const settle = () => {
    localStorage.setItem(OFFERED, JSON.stringify([...settled(), job.id].slice(-MOST_KEPT)));
    return offerRest(app, element);
  };
  const goOn = () =>
    app.attempt(async () => {
      const { job: id } = await app.server.call("resume", { job: job.id });
      app.jobs.follow(id);
      await settle();
    });
  return h(
    "li",
    {},
    h("div", { class: "queue-about" }, h("span", { class: "queue-title", title: job.prompt }, titleOf(job)), h("span", { class: "queue-state" }, `${STATES[job.status]}, ${job.left} of ${job.num_images} missing`)),
    h("button", { type: "button", class: "queue-continue", onclick: goOn }, "Continue"),
    iconButton("cancel", `Do not offer again: ${titleOf(job)}`, settle),
  );
}

const STATES = { interrupted: "Interrupted", failed: "Failed", cancelled: "Cancelled" };

function settled() {
  try {
    return JSON.parse(localStorage.getItem(OFFERED) ?? "[]");
  } catch {
    return [];
  }
}

function alertSwitch(name, title) {
  const box = h("input", { type: "checkbox", id: `alert-${name}`, checked: alertsOn()[name] });
  box.onchange = async () => (box.checked = await switchAlert(name, box.checked));
  return h("label", { class: "choice" }, box, title);
}
