/** The page: builds its parts around one store and starts what follows the server. */

import { openBlobs } from "./blobs.js";
import { Drafts, emptyDraft } from "./draft.js";
import { h } from "./dom.js";
import { buildBar } from "./bar.js";
import { buildDesk } from "./desk.js";
import { buildDialogs } from "./dialogs.js";
import { buildFilmstrip } from "./filmstrip.js";
import { Jobs } from "./jobs.js";
import { listenForKeys } from "./keys.js";
import { Maps } from "./maps.js";
import { listenForFiles, takePhoto } from "./photo.js";
import { buildRail } from "./rail.js";
import { Server } from "./server.js";
import { Stage } from "./stage.js";
import { Store } from "./store.js";

export async function start(element, gradio) {
  const root = element.querySelector(".studio");
  const app = new App(root, new Server(gradio));
  await app.begin();
}

/** What every part of the page is given. */
export class App {
  constructor(root, server) {
    this.root = root;
    this.server = server;
    this.store = new Store({
      tables: null, // the registry, as cnet_app/ui/calls/describe.py writes it
      choices: null, // the base model and what fits it, as cnet_app/ui/calls/models.py writes it
      draft: emptyDraft(),
      canUndo: false,
      canRedo: false,
      frame: null, // {width, height, fit} of the picture to be made, in px
      maps: {}, // by layer: {order, isBusy, image, bitmap, data, warnings, repairs, missing, error}
      thumbs: {}, // by condition: the photo's own map, small
      view: "photo", // photo, map, overlay, result, compare, or the name of an editor
      engine: { state: "starting", message: "" },
      jobs: [], // waiting and running, in their order
      running: null,
      preview: null, // {job, bitmap}
      pictures: [], // of the filmstrip, newest first: {path, url, job, prompt, seed}
      shown: null, // the one on the stage
      ended: null, // the job that ended last
      downloaded: null, // the download that ended last
      isSending: false,
      lastSeed: null,
      error: "", // beside Generate
      messages: [], // short notes: {id, text}
    });
  }

  async begin() {
    this.blobs = await openBlobs(this.server);
    this.drafts = new Drafts(this.store, this.blobs);
    const [tables, choices] = await Promise.all([this.server.call("tables"), this.server.call("choices"), this.drafts.load()]);
    this.store.patch({ tables, choices });
    this.#build();
    this.maps = new Maps(this);
    this.jobs = new Jobs(this);
    this.store.on(
      ({ draft, choices }) => [draft.size, draft.photo, choices.base],
      () => this.#fitFrame(),
    );
    listenForFiles(this.root, (file, event) => this.takeFile(file, event));
    listenForKeys(this);
    this.root.removeAttribute("aria-busy");
  }

  #build() {
    this.stage = new Stage(this);
    this.root.replaceChildren(
      buildBar(this),
      buildRail(this),
      h("main", { class: "center" }, this.stage.element, buildFilmstrip(this)),
      buildDesk(this),
      buildDialogs(this),
    );
  }

  /** The picture's size follows the photo within the model's budget, or is the one that was typed. */
  async #fitFrame() {
    const { draft, choices } = this.store.state;
    await this.attempt(async () => {
      const { width, height } = draft.photo ?? {};
      const frame = await this.server.call("frame", { size: draft.size, photo: width ? { width, height } : null, base: choices.base.id });
      this.store.patch({ frame });
    });
  }

  /** Take a file that was dropped or pasted anywhere. */
  takeFile(file) {
    return takePhoto(this, file);
  }

  /** Choose what the stage shows. */
  show(view) {
    this.store.patch({ view });
  }

  /** Run what may be refused; its sentence is shown beside Generate. */
  async attempt(act) {
    try {
      return await act();
    } catch (refusal) {
      console.warn(refusal);
      this.store.patch({ error: refusal.message });
      return undefined;
    }
  }

  /** Show a note for a while. */
  say(text) {
    const { messages } = this.store.state;
    if (messages.some((message) => message.text === text)) return;
    this.store.patch({ messages: [...messages, { id: performance.now(), text }] });
  }
}

