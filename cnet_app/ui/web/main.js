/** The page: builds its parts around one store and starts what follows the server. */

import { openBlobs } from "./core/blobs.js";
import { Drafts, emptyDraft, newLayer } from "./core/draft.js";
import { startScale } from "./layers/layer_actions.js";
import { h } from "./core/dom.js";
import { buildBar, buildEngineLine } from "./page/bar.js";
import { buildDesk } from "./desk/desk.js";
import { buildDialogs } from "./dialogs/dialogs.js";
import { buildFilmstrip } from "./page/filmstrip.js";
import { Jobs } from "./core/jobs.js";
import { listenForKeys } from "./core/keys.js";
import { Maps } from "./core/maps.js";
import { keepPicture, listenForFiles } from "./core/photo.js";
import { buildPictureActions } from "./library/pictures.js";
import { buildRail, openCondition } from "./page/rail.js";
import { takeAnyFile } from "./library/restore.js";
import { buildScore } from "./library/score.js";
import { Server, fetchBlob } from "./core/server.js";
import { followShown } from "./library/shelf.js";
import { Stage } from "./stage/stage.js";
import { buildCaption, buildStageBar, fillEmpty } from "./stage/stage_views.js";
import { Store } from "./core/store.js";
import { apply as applyTheme } from "./core/theme.js";
import { Thumbnails } from "./library/thumbnails.js";
import { Tools } from "./stage/tools.js";

const PHONE = matchMedia("(max-width: 699px)");

export async function start(element, gradio) {
  const root = element.querySelector(".studio");
  const server = new Server(gradio);
  const study = new URL(location.href).searchParams.get("study");
  if (study) return (await import("./rank/rank.js")).openStudy(root, server, study);
  const app = new App(root, server);
  root.app = app; // for tests and the curious
  await app.begin();
}

/** What every part of the page is given. */
class App {
  #fitting = null; // the newest question for the frame

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
      others: 0, // jobs of other visitors
      unfinished: 0, // jobs of this browser that could go on
      pictures: [], // of the filmstrip, newest first: {id, path, url, job, prompt, seed, width, height, score, scores, words …}
      shown: null, // the one on the stage
      scoreOverlay: null, // {id, index, bitmap, legend}: where the shown picture followed a layer
      libraryVersion: 0, // rises when pictures are marked, deleted or brought back here
      ended: null, // the job that ended last
      isSending: false,
      lastSeed: null,
      pace: null, // of the job that was done last: {width, height, steps, seconds} of a picture
      sweeps: [], // grids and batches that this browser knows
      error: "", // beside Generate
      messages: [], // short notes: {id, text}
    });
  }

  async begin() {
    applyTheme();
    this.blobs = await openBlobs(this.server);
    this.thumbnails = new Thumbnails(this.server);
    this.drafts = new Drafts(this.store, this.blobs);
    const [tables, choices] = await Promise.all([this.server.call("tables"), this.server.call("choices"), this.drafts.load()]);
    this.store.patch({ tables, choices });
    this.#build();
    this.maps = new Maps(this);
    this.jobs = new Jobs(this);
    followShown(this);
    this.store.on(
      ({ draft, choices }) => [draft.size, draft.photo, choices.base],
      () => this.#fitFrame(),
    );
    listenForFiles(this.root, (file, event) => this.takeFile(file, event));
    listenForKeys(this);
    this.drafts.onOtherTab(() => this.say("This work is open in another tab too; the one that is changed last is kept."));
    this.root.removeAttribute("aria-busy");
  }

  #build() {
    this.stage = new Stage(this);
    this.tools = new Tools(this);
    this.stage.views.append(...buildStageBar(this));
    this.stage.caption.append(...buildCaption(this));
    fillEmpty(this, this.stage.empty);
    const [strip, ofPicture] = [buildFilmstrip(this), [buildScore(this), buildPictureActions(this)]];
    const center = h("main", { class: "center" }, buildEngineLine(this), this.stage.element);
    const desk = buildDesk(this);
    this.root.replaceChildren(buildBar(this), desk, buildRail(this), center, buildDialogs(this));
    // On a phone the pictures are one of the desk's sheets.
    const place = () => {
      const sheet = PHONE.matches && desk.querySelector("[data-sheet=pictures]");
      (sheet || this.stage.caption).append(...ofPicture);
      (sheet || center).append(strip);
    };
    PHONE.addEventListener("change", place);
    place();
  }

  /** The picture's size follows the photo within the model's budget, or is the one that was typed. */
  async #fitFrame() {
    const { draft, choices } = this.store.state;
    const { width, height } = draft.photo ?? {};
    const values = { size: draft.size, photo: width ? { width, height } : null, base: choices.base.id };
    const fitting = this.attempt(() => this.server.call("frame", values));
    this.#fitting = fitting;
    const frame = await fitting;
    if (frame && this.#fitting === fitting) this.store.patch({ frame });
  }

  /** Resolves when the frame is that of the draft as it is now. */
  async fitted() {
    await null; // reactions to the last change run first
    await this.#fitting;
    await null;
  }

  /** Take a file that was dropped or pasted anywhere. */
  takeFile(file) {
    return takeAnyFile(this, file);
  }

  /** Show all finished pictures. */
  async openLibrary() {
    const { openLibrary } = await import("./library/library.js");
    openLibrary(this);
  }

  /** Show the user studies of this machine. */
  async openStudies() {
    const { openStudies } = await import("./rank/studies.js");
    openStudies(this);
  }

  /** Show the trainings, and what begins one. */
  async openTrain() {
    const { openTrain } = await import("./train/train.js");
    openTrain(this);
  }

  /** Show a condition's example: its picture, and its words where there are none; the demo model makes the picture at once. */
  async playExample(id) {
    await this.attempt(async () => {
      const example = await this.server.call("example", { condition: id });
      const picture = await this.#keepUrl(example.image, id);
      const mask = example.mask && (await this.#keepUrl(example.mask, "mask"));
      const drawn = example.drawing ? { source: "drawing", drawing: picture } : {};
      const layer = newLayer(id, { conditioning_scale: startScale(this.store.state.choices, id), ...drawn });
      this.drafts.edit((draft) => ({
        condition: id,
        prompt: draft.prompt.trim() ? draft.prompt : example.prompt,
        photo: example.drawing ? null : picture,
        start: mask ? { picture: null, mask, strength: 1, area: "picture", padding: null } : null,
        layers: [layer],
        open: layer.id,
        restored: null,
      }));
      this.show("map");
      if (this.store.state.choices.base.is_demo) await this.jobs.generate();
    });
  }

  async #keepUrl(url, name) {
    return keepPicture(this, new File([await fetchBlob(url)], `${name}.png`, { type: "image/png" }));
  }

  /** Lay out a sheet to draw on, in the scribble's tab. */
  async startDrawing() {
    openCondition(this, "scribble");
    await this.tools.take("draw");
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

