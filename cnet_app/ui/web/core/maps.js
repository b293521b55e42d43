/** The maps: of every layer as it is set, and of every condition for the rail; each made again when what it depends on changes. */

import { newLayer } from "./draft.js";
import { fetchBlob } from "./server.js";

export class Maps {
  #app;
  /** By layer: the order that is being made, and the newest that waits behind it. */
  #running = new Map();
  #thumbRun = 0;

  constructor(app) {
    this.#app = app;
    app.store.on(
      ({ draft, frame }) => [draft.layers, draft.photo, frame],
      () => this.#follow(),
    );
    app.store.on(
      ({ draft, frame, choices }) => [draft.photo, frame, choices],
      () => this.#fillRail(),
    );
  }

  /** Make a layer's map again, such as after a download. */
  remake(id) {
    this.#app.store.patch({ maps: { ...this.#app.store.state.maps, [id]: undefined } });
    this.#follow();
  }

  #follow() {
    const { draft, frame, maps } = this.#app.store.state;
    const kept = Object.fromEntries(draft.layers.filter(({ id }) => maps[id]).map(({ id }) => [id, maps[id]]));
    if (Object.keys(kept).length !== Object.keys(maps).length) this.#app.store.patch({ maps: kept });
    for (const layer of draft.layers) {
      const order = orderOf(layer, draft.photo, frame);
      if (!order) {
        if (kept[layer.id]?.order) this.#set(layer.id, { order: null });
      } else if (kept[layer.id]?.order !== order.text) this.#make(layer.id, order);
    }
  }

  /** While one order of a layer is being made the newest waits; those between are passed over. */
  async #make(id, order) {
    this.#set(id, { ...this.#app.store.state.maps[id], order: order.text, isBusy: true });
    if (this.#running.has(id)) {
      this.#running.set(id, order);
      return;
    }
    this.#running.set(id, null);
    const made = await this.#ask(order.values);
    const next = this.#running.get(id);
    this.#running.delete(id);
    if (!this.#app.store.state.draft.layers.some((layer) => layer.id === id)) return;
    if (next) {
      if (!made.error) this.#set(id, { ...made, order: next.text, isBusy: true });
      this.#make(id, next);
    } else this.#set(id, { ...made, order: order.text, isBusy: false });
  }

  async #ask(values) {
    try {
      const made = await this.#app.blobs.call("map", values);
      return made.image ? { ...made, bitmap: await bitmapOf(made.image) } : made;
    } catch (refusal) {
      return { error: refusal.message };
    }
  }

  #set(id, map) {
    this.#app.store.patch({ maps: { ...this.#app.store.state.maps, [id]: map } });
  }

  /** Small maps of the photo for every tab of the rail, one after another; a newer photo ends the run. */
  async #fillRail() {
    const run = ++this.#thumbRun;
    const { draft, frame, tables } = this.#app.store.state;
    this.#app.store.patch({ thumbs: {} });
    if (!draft.photo || !frame) return;
    for (const { id } of tables.conditions) {
      const made = await this.#ask({ layer: newLayer(id), photo: draft.photo, frame });
      if (run !== this.#thumbRun) return;
      const thumb = made.image ? { ...made, image: shrink(made.bitmap, 96) } : made;
      this.#app.store.patch({ thumbs: { ...this.#app.store.state.thumbs, [id]: thumb } });
    }
  }
}

/** What a layer's map depends on; null where there is nothing to make one from. */
function orderOf(layer, photo, frame) {
  const { source, picture, drawing, pose, classes } = layer;
  const held = { photo, own: picture, map: picture, drawing, pose, classes }[source];
  if (!held || !frame) return null;
  const { condition, annotator, parameters, repairs } = layer;
  const values = { layer: { condition, source, annotator, parameters, repairs, [fieldOf(source)]: held }, photo: source === "photo" ? photo : null, frame };
  return { values, text: JSON.stringify(values) };
}

function fieldOf(source) {
  return { own: "picture", map: "picture" }[source] ?? source;
}

export async function bitmapOf(url) {
  return createImageBitmap(await fetchBlob(url));
}

function shrink(bitmap, side) {
  const scale = side / Math.min(bitmap.width, bitmap.height);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/webp", 0.8);
}
