/** What is being worked on: prompt, photo, layers, settings. It survives a reload, and every change can be undone. */

import { keysIn } from "./blobs.js";
import { randomId } from "./server.js";

const NAME = "draft";
const SAVE_AFTER = 400; // ms
const JOIN_WITHIN = 1500; // ms in which changes of one field are one step of undo
const MOST_STEPS = 200;

export function emptyDraft() {
  return {
    version: 1,
    prompt: "",
    photo: null, // {key, width, height, name}
    size: { mode: "photo", width: null, height: null, fit: "crop" },
    count: 1,
    seed: { locked: false, value: null },
    condition: "canny", // the open tab of the rail
    layers: [],
    open: null, // id of the layer whose settings are shown, or "start"
    stash: {}, // the last layer of each condition, so that a tab that is opened again is as it was left
    start: null, // {picture: null for the photo, mask, strength, area, padding}
    settings: {}, // fields of the request that are not at their defaults
    restored: null, // {program, partial, notes}: what could not be taken from the recipe that was restored last
  };
}

/** A layer as it begins. `source` is photo, own, map, drawing, pose or classes. */
export function newLayer(condition, values = {}) {
  return {
    id: randomId(4),
    condition,
    enabled: true,
    source: "photo",
    picture: null,
    drawing: null,
    pose: null,
    classes: null,
    annotator: "",
    parameters: {},
    repairs: [],
    controlnet: "",
    conditioning_scale: 1,
    control_guidance_start: 0,
    control_guidance_end: 1,
    control_mode: "balanced",
    control_form: "authors",
    strength_curve: [],
    depth_curve: [],
    block_weights: [],
    unconditional_block_weights: [],
    mask: null,
    mask_feather: 0,
    weight_map: null,
    prompt: "",
    note: "", // how the map was made, where a recipe brought it
    part: false, // whether the map is one of the part that is repainted, as a recipe brings it
    ...values,
  };
}

/** Holds the draft in the store, with undo and redo, and writes it into the browser's database. */
export class Drafts {
  #store;
  #blobs;
  #past = [];
  #future = [];
  #last = { key: null, time: 0 };
  #timer = 0;
  #saved = null; // the draft as it was written last
  #others = new BroadcastChannel(NAME); // tabs of this browser, whose drafts are written to the same place

  constructor(store, blobs) {
    this.#store = store;
    this.#blobs = blobs;
  }

  get now() {
    return this.#store.state.draft;
  }

  /** The draft that was saved last, or an empty one. */
  async load() {
    const saved = await this.#blobs.readValue(NAME);
    const draft = saved?.version === 1 ? { ...emptyDraft(), ...saved } : emptyDraft();
    await this.#blobs.keepOnly(keysIn(draft));
    this.#saved = draft;
    this.#show(draft);
    addEventListener("pagehide", () => this.#save());
    document.addEventListener("visibilitychange", () => document.hidden && this.#save());
  }

  /** Call `act` whenever another tab of this browser has written its draft, which takes this one's place. */
  onOtherTab(act) {
    this.#others.onmessage = act;
  }

  /**
   * Change the draft: `change` takes it and returns some of its fields. Changes with one `key` that follow each other
   * quickly, such as those of a slider, are undone together.
   */
  edit(change, key = null) {
    const before = this.now;
    const changes = typeof change === "function" ? change(before) : change;
    if (!changes || Object.entries(changes).every(([name, value]) => before[name] === value)) return;
    const now = performance.now();
    const isSameStep = key !== null && key === this.#last.key && now - this.#last.time < JOIN_WITHIN;
    this.#last = { key, time: now };
    if (!isSameStep) this.#past = [...this.#past, before].slice(-MOST_STEPS);
    this.#future = [];
    this.#show({ ...before, ...changes });
  }

  /** Change one layer. */
  editLayer(id, changes, key = null) {
    this.edit(
      (draft) => ({
        layers: draft.layers.map((layer) =>
          layer.id === id ? { ...layer, ...(typeof changes === "function" ? changes(layer) : changes) } : layer,
        ),
      }),
      key && `${id} ${key}`,
    );
  }

  /** Change what is no work of its own, such as which card is open: undo passes over it. */
  view(changes) {
    this.#show({ ...this.now, ...changes });
  }

  undo() {
    this.#step(this.#past, this.#future);
  }

  redo() {
    this.#step(this.#future, this.#past);
  }

  #step(from, to) {
    const draft = from.pop();
    if (!draft) return;
    to.push(this.now);
    this.#last = { key: null, time: 0 };
    this.#show(draft);
  }

  #show(draft) {
    this.#store.patch({ draft, canUndo: this.#past.length > 0, canRedo: this.#future.length > 0 });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#save(), SAVE_AFTER);
  }

  #save() {
    clearTimeout(this.#timer);
    if (this.now === this.#saved) return; // else a tab that only goes out of sight would undo what another one wrote
    this.#saved = this.now;
    this.#blobs.writeValue(NAME, this.now);
    this.#others.postMessage(null);
  }
}
