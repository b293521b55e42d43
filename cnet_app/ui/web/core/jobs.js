/** Jobs: sent, followed by one long call to the server, and shown where the picture will be. */

import { bitmapOf } from "./maps.js";
import { addPicture, meanOf, updatePictures, wordsOf } from "../library/shelf.js";

const RETRY = 1000; // ms
const SCORED_WITHIN = 30_000; // ms after its end in which a job's scores are waited for

export class Jobs {
  #app;
  #token = null;
  /** By id: when the job ended, null while it waits or runs. */
  #follow = new Map();
  #over = new Set();
  #seen = new Set();
  #scored = new Set();
  #shown = null; // the job that was brought to the stage last

  constructor(app) {
    this.#app = app;
    this.#watch();
  }

  /** Send the draft, or another call that answers with a job; asks for the download of what is missing first. */
  async generate(name = "generate", values = null) {
    await this.#app.attempt(async () => {
      this.#app.store.patch({ isSending: true });
      try {
        await this.#app.fitted();
        const { draft, frame } = this.#app.store.state;
        const sent = await this.#app.blobs.call(name, values ?? { draft: { ...draft, stash: null, frame } });
        if (sent.missing) {
          await this.#app.askDownload(sent.missing, () => this.generate(name, values));
          return;
        }
        sent.jobs.forEach((id) => this.follow(id));
        sent.warnings?.forEach((text) => this.#app.say(text));
        this.#app.store.patch({ lastSeed: sent.seed, sent: sent.jobs, error: "" });
      } finally {
        this.#app.store.patch({ isSending: false });
      }
    });
  }

  /** Show a job until its end, also one of a download, and its scores for a while after that. */
  follow(id) {
    if (!this.#over.has(id)) this.#follow.set(id, null); // it may end before the answer that names it is here
  }

  async cancel(id) {
    await this.#app.attempt(() => this.#app.server.call("cancel", { job: id }));
  }

  async #watch() {
    for (;;) {
      try {
        const now = await this.#app.server.call("watch", { token: this.#token, follow: [...this.#follow.keys()] });
        this.#token = now.token;
        this.#take(now);
      } catch {
        this.#app.store.patch({ engine: { state: "away", message: "The server does not answer; trying again …" } });
        this.#token = null;
        await new Promise((resolve) => setTimeout(resolve, RETRY));
      }
    }
  }

  #take({ engine, jobs, others }) {
    const { store } = this.#app;
    for (const job of jobs) {
      job.pictures.forEach((path, index) => this.#add(job, path, index));
      this.#score(job);
      if (!isOver(job)) this.#follow.set(job.id, null);
      else if (this.#follow.has(job.id)) this.#passEnd(job);
    }
    const running = jobs.find((job) => job.status === "running" && job.kind !== "download");
    store.patch({ engine, others, jobs: jobs.filter((job) => !isOver(job)), running });
    document.title = titleOf(running);
    if (running?.preview && running.preview !== this.preview) this.#preview(running);
  }

  async #preview(job) {
    this.preview = job.preview;
    const bitmap = await bitmapOf(job.preview);
    if (this.preview !== job.preview || this.#app.store.state.running?.id !== job.id) return;
    this.#app.store.patch({ preview: { job: job.id, bitmap } });
    this.#showOnce(job.id);
  }

  /** Bring a job to the stage once: at its first preview, unless a tool is in the hand. */
  #showOnce(id) {
    if (this.#shown === id) return;
    this.#shown = id;
    if (this.#app.stage.tool) return;
    this.#app.show("result");
    this.#app.stage.canvas.scrollIntoView({ block: "nearest" }); // on a low screen
  }

  #add(job, path, index) {
    if (this.#seen.has(path)) return;
    this.#seen.add(path);
    if (this.#app.store.state.pictures.some((picture) => picture.path === path)) return;
    const { prompt, width, height, conditions, kind } = job;
    const seed = job.seed === null ? null : job.seed + index;
    const made = { id: job.ids[index], path, job: job.id, kind, prompt, seed, width, height, conditions };
    addPicture(this.#app, { ...made, created: Date.now() / 1000, favourite: false, board: "", score: null });
  }

  /** Scores come one by one, some after the job's end. */
  #score(job) {
    job.pictures.forEach((path, index) => {
      const scores = job.scores[path];
      if (!scores || this.#scored.has(path)) return;
      this.#scored.add(path);
      updatePictures(this.#app, [job.ids[index]], { scores, words: wordsOf(scores), score: meanOf(scores) });
    });
  }

  #passEnd(job) {
    const ended = this.#follow.get(job.id);
    if (ended === null) {
      this.#follow.set(job.id, performance.now());
      this.#over.add(job.id);
      this.#end(job);
    }
    const isWaiting = job.kind === "upscale" || job.conditions.length > 0;
    const isScored = !isWaiting || job.pictures.every((path) => job.scores[path]);
    if (isScored || performance.now() - this.#follow.get(job.id) > SCORED_WITHIN) this.#follow.delete(job.id);
  }

  #end(job) {
    if (job.kind === "download") return;
    job.notes.forEach((text) => this.#app.say(text));
    if (job.status === "failed" || job.status === "interrupted") {
      this.#app.store.patch({ error: job.error || "The job was interrupted; press Generate to make it again." });
    }
    if (job.norms.length) updatePictures(this.#app, [job.ids.at(-1)], { norms: job.norms });
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
