/** Jobs: sent, followed by one long call to the server, and shown where the picture will be. */

import { bitmapOf } from "./maps.js";

const RETRY = 1000; // ms
const KEPT = 60; // pictures of the filmstrip

export class Jobs {
  #app;
  #token = null;
  #follow = new Set();
  #seen = new Set();

  constructor(app) {
    this.#app = app;
    this.#watch();
  }

  /** Send the draft, or another call that answers with a job; asks for the download of what is missing first. */
  async generate(name = "generate", values = null) {
    await this.#app.attempt(async () => {
      this.#app.store.patch({ isSending: true });
      try {
        const { draft, frame } = this.#app.store.state;
        const sent = await this.#app.blobs.call(name, values ?? { draft: { ...draft, stash: null, frame } });
        if (sent.missing) {
          await this.#app.askDownload(sent.missing, () => this.generate(name, values));
          return;
        }
        sent.jobs.forEach((id) => this.follow(id));
        sent.warnings?.forEach((text) => this.#app.say(text));
        this.#app.store.patch({ lastSeed: sent.seed, error: "" });
      } finally {
        this.#app.store.patch({ isSending: false });
      }
    });
  }

  /** Show a job until its end, also one of a download. */
  follow(id) {
    this.#follow.add(id);
  }

  async cancel(id) {
    await this.#app.attempt(() => this.#app.server.call("cancel", { job: id }));
  }

  async #watch() {
    for (;;) {
      try {
        const now = await this.#app.server.call("watch", { token: this.#token, follow: [...this.#follow] });
        this.#token = now.token;
        this.#take(now);
      } catch {
        this.#app.store.patch({ engine: { state: "away", message: "The server does not answer; trying again …" } });
        this.#token = null;
        await new Promise((resolve) => setTimeout(resolve, RETRY));
      }
    }
  }

  #take({ engine, jobs }) {
    const { store } = this.#app;
    for (const job of jobs) {
      job.pictures.forEach((path, index) => this.#add(job, path, index));
      if (!isOver(job)) this.#follow.add(job.id);
      else if (this.#follow.delete(job.id)) this.#end(job);
    }
    const running = jobs.find((job) => job.status === "running" && job.kind !== "download");
    store.patch({ engine, jobs: jobs.filter((job) => !isOver(job)), running });
    document.title = titleOf(running);
    if (running?.preview && running.preview !== this.preview) this.#preview(running);
  }

  async #preview(job) {
    this.preview = job.preview;
    const bitmap = await bitmapOf(job.preview);
    if (this.preview === job.preview) this.#app.store.patch({ preview: { job: job.id, bitmap } });
  }

  #add(job, path, index) {
    if (this.#seen.has(path)) return;
    this.#seen.add(path);
    const url = this.#app.server.fileUrl(path);
    const picture = { path, url, job: job.id, prompt: job.prompt, seed: job.seed === null ? null : job.seed + index, norms: job.norms };
    const { pictures } = this.#app.store.state;
    this.#app.store.patch({ pictures: [picture, ...pictures].slice(0, KEPT), shown: picture, preview: null });
    this.#app.show("result");
  }

  #end(job) {
    if (job.kind === "download") return;
    job.notes.forEach((text) => this.#app.say(text));
    if (job.status === "failed" || job.status === "interrupted") {
      this.#app.store.patch({ error: job.error || "The job was interrupted; press Generate to make it again." });
    }
    this.#app.store.patch({ preview: null, ended: job });
  }
}

export function isOver(job) {
  return job.status !== "queued" && job.status !== "running";
}

function titleOf(job) {
  if (!job) return "ControlNet Studio";
  return `${Math.round(job.fraction * 100)} % · ${job.image_index + 1}/${job.num_images} · ControlNet Studio`;
}
