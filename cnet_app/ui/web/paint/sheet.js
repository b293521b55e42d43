/** A raster that follows a field of the draft: what is painted is saved there, what is undone there comes back. */

/**
 * `field` tells where the raster's picture is kept:
 *   name            for messages, such as "drawing"
 *   create(width, height)   an empty raster
 *   owner(draft)    the id of what it belongs to; null where there is nothing to paint on
 *   read(draft)     {key, width, height} or null
 *   write(held)     keep that in the draft, as one step of undo
 */
export class Sheet {
  #app;
  #field;
  #onLoad;
  #held = null; // what the raster shows: owner, key, size
  #wanted = null; // what it is about to show
  #ends = null;

  constructor(app, field, onLoad) {
    this.#app = app;
    this.#field = field;
    this.#onLoad = onLoad;
    this.raster = null;
  }

  /** Whether the raster does not show yet what the draft holds. */
  get isLoading() {
    return this.#held !== this.#wanted;
  }

  /** Whether the raster shows what the draft holds at this moment, before anything could react to a change of it. */
  get isCurrent() {
    const { draft, frame } = this.#app.store.state;
    return this.#held === this.#nameOf(this.#field.read(draft)?.key, draft, frame);
  }

  /** Whether there is a layer that this belongs to. */
  get isOwned() {
    return this.#field.owner(this.#app.drafts.now) !== null;
  }

  /** Follow the draft, until `close`. */
  open() {
    this.#ends = this.#app.store.on(
      ({ draft, frame }) => this.#nameOf(this.#field.read(draft)?.key, draft, frame),
      (name) => name !== this.#wanted && this.#load(name),
    );
  }

  close() {
    this.#ends?.();
  }

  /** Keep what the raster shows. Its picture is taken now, so that what is painted next is a step of its own. */
  save() {
    const { width, height } = this.raster;
    this.#keep({ key: this.#app.blobs.hold(this.raster.toBlob()), width, height });
  }

  /** Keep nothing; where nothing is kept it is no step of undo. */
  clear() {
    this.raster.clear();
    if (this.#field.read(this.#app.store.state.draft)) this.#keep(null);
  }

  /** Show again what is kept, without what was not saved. */
  revert() {
    this.#held = null;
    return this.#load(this.#wanted);
  }

  #keep(held) {
    const { draft, frame } = this.#app.store.state;
    this.#held = this.#wanted = this.#nameOf(held?.key, draft, frame);
    this.#field.write(held);
  }

  #nameOf(key, draft, frame) {
    return [this.#field.owner(draft), key, frame?.width, frame?.height, frame?.fit].join(" ");
  }

  /** The old picture stays until the new one is decoded; of several that are asked for the newest counts. */
  async #load(name) {
    this.#wanted = name;
    const { draft, frame } = this.#app.store.state;
    const { width, height, fit } = frame ?? { width: 512, height: 512, fit: "crop" };
    const held = this.#field.read(draft);
    const picture = held && (await this.#decode(held.key));
    if (name !== this.#wanted) return;
    const raster = this.#field.create(width, height);
    if (picture) raster.take(picture, fit);
    this.raster = raster;
    this.#held = name;
    if (picture && (picture.width !== width || picture.height !== height)) this.#sayFitted(picture, raster);
    this.#onLoad();
  }

  async #decode(key) {
    try {
      return await createImageBitmap(await this.#app.blobs.get(key), { colorSpaceConversion: "none" });
    } catch {
      this.#app.say(`The ${this.#field.name} of this layer is gone from the browser; undo, or paint it again.`);
      return null;
    }
  }

  #sayFitted(picture, { width, height }) {
    const size = `${picture.width} × ${picture.height}`;
    this.#app.say(`The ${this.#field.name} was made at ${size}; it is fitted into ${width} × ${height}.`);
  }
}

/**
 * How a sheet finds its picture in a field of the open layer. `also` is changed with it; `rival` {field, name} is another one
 * that a layer cannot have at the same time.
 */
export function layerField(app, { name, field, create, also = {}, rival = null }) {
  const openLayer = (draft) => draft.layers.find(({ id }) => id === draft.open) ?? null;
  return {
    name,
    create,
    owner: (draft) => openLayer(draft)?.id ?? null,
    read: (draft) => openLayer(draft)?.[field] ?? null,
    write: (held) => {
      const layer = openLayer(app.drafts.now);
      const isRemoved = held && rival && layer[rival.field];
      if (isRemoved) app.say(`A layer has a mask or weights, not both, so its ${rival.name} was removed; undo brings it back.`);
      app.drafts.editLayer(layer.id, { [field]: held, ...also, ...(isRemoved ? { [rival.field]: null } : {}) });
    },
  };
}

/** How a sheet finds the mask of what is started from. */
export function startField(app, name, create) {
  return {
    name,
    create,
    owner: ({ start }) => (start ? "start" : null),
    read: ({ start }) => start?.mask ?? null,
    write: (mask) => app.drafts.edit(({ start }) => ({ start: { ...start, mask } })),
  };
}
