/** The question before a download: what, how large, under which licence, and where it goes. */

import { refreshModels } from "./models.js";
import { openDialog } from "./dialogs.js";
import { fill, h } from "../core/dom.js";
import { isOver } from "../core/jobs.js";

const RETRY = 1000; // ms

/**
 * Ask for a download of {ids, items, total, place, offline}; once it is here `then` is called. `about` may give another
 * title, and paragraphs above the list: {title, introduction}. Where it may not be started, only its reason is shown.
 */
export function askDownload(app, missing, then, about = {}) {
  if (!missing.items.length) {
    app.store.patch({ error: "Files that ship with the project are not here; restore them, then try again." });
    return;
  }
  const foot = h("div", { class: "dialog-foot" });
  const refusal = app.store.state.tables.no_downloads;
  const isOffered = !missing.offline && !refusal;
  const ask = refusal ? refused(missing, refusal) : missing.offline ? byHand(missing) : question(missing);
  const { title = isOffered ? "Download first?" : "Files that are not here", introduction = [] } = about;
  const dialog = openDialog(app, title, [introduction.map((text) => h("p", {}, text)), ask, foot], { class: "download" });
  if (isOffered) new Download(app, dialog, foot, missing, then).offer();
  else fill(foot, h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Close"));
}

function question(missing) {
  return [listOf(missing), h("p", { class: "download-total" }, `Together ${missing.total}, into ${missing.place}.`)];
}

/** What is not here, and why this visitor cannot change that. */
function refused(missing, reason) {
  return [h("p", { class: "note" }, reason), listOf(missing)];
}

function listOf({ items }) {
  return h(
    "ul",
    { class: "download-items" },
    items.map((item) => h("li", {}, h("strong", {}, item.title), `: ${item.size}. `, terms(item))),
  );
}

function terms({ licence, terms: text, page, use, gate }) {
  const before = gate ? [" ", h("strong", { class: "gate" }, gate)] : [];
  return [`Licence: `, link(text || page, licence), `. ${use} `, link(page, "Files"), ...before];
}

function link(address, words) {
  return address ? h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, words) : words;
}

/** Without a network: which files go into which folder. */
function byHand({ items }) {
  return [
    h("p", {}, "The app is offline. Download these files elsewhere, put them into their folders, and try again; or start the app online."),
    h(
      "ul",
      { class: "download-items" },
      items.map((item) =>
        h(
          "li",
          {},
          h("strong", {}, item.title),
          `: ${item.size}. `,
          terms(item),
          h("div", {}, "Into ", h("code", {}, item.folder), ":"),
          h(
            "ul",
            {},
            item.files.map((name) => h("li", {}, h("code", {}, name))),
          ),
        ),
      ),
    ),
  ];
}

/** The foot of the question: the offer, then the progress, then the end. */
class Download {
  #app;
  #dialog;
  #foot;
  #missing;
  #then;

  constructor(app, dialog, foot, missing, then) {
    this.#app = app;
    this.#dialog = dialog;
    this.#foot = foot;
    this.#missing = missing;
    this.#then = then;
  }

  /** Show the two buttons, and above them why an earlier try failed. */
  offer(fault = "") {
    const start = h("button", { type: "button", class: "primary", onclick: () => this.#start() }, "Download");
    fill(
      this.#foot,
      fault && h("p", { class: "warning", role: "alert" }, fault),
      start,
      h("button", { type: "button", onclick: () => this.#dialog.close() }, "Not now"),
    );
    start.focus();
  }

  async #start() {
    try {
      const { job } = await this.#app.server.call("download", { ids: this.#missing.ids });
      this.#app.jobs.follow(job);
      this.#show(job);
    } catch (refusal) {
      this.offer(refusal.message);
    }
  }

  #show(id) {
    const bar = h("progress", { "aria-label": "Download" });
    const words = h("p", { class: "download-words" }, "Starting the download");
    const cancel = h("button", { type: "button", onclick: () => this.#app.jobs.cancel(id) }, "Cancel download");
    const hide = h("button", { type: "button", onclick: () => this.#dialog.close() }, "Go on in the background");
    fill(this.#foot, bar, words, cancel, hide);
    cancel.focus();
    this.#watch(id, bar, words);
  }

  /** Follow the job to its end, also when the dialog is closed meanwhile. */
  async #watch(id, bar, words) {
    for (let token = null; ;) {
      const now = await this.#app.server.call("watch", { token, follow: [id] }).catch(() => null);
      const job = now?.jobs.find((one) => one.id === id);
      if (job && isOver(job)) return this.#end(job);
      if (now && !job) return this.#end({ status: "failed", error: "The server no longer knows this download; start it again." });
      if (job?.doing) words.textContent = job.doing;
      if (job?.fraction) bar.value = job.fraction;
      token = now?.token ?? null;
      if (!now) await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
  }

  async #end({ status, error }) {
    const isWatched = this.#dialog.open;
    if (status === "done") {
      await refreshModels(this.#app);
      if (isWatched) this.#dialog.close();
      this.#app.say(`Downloaded: ${this.#missing.items.map(({ title }) => title).join(", ")}.`);
      if (isWatched) this.#then?.();
    } else if (isWatched) this.offer(error);
    else if (error) this.#app.store.patch({ error });
  }
}
