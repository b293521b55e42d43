/** One layer as a part of the page sees it: its values, its changes, and reactions that end together. */

export class LayerScope {
  #ends = [];

  constructor(app, id) {
    this.app = app;
    this.id = id;
  }

  /** The layer; undefined once it is removed. */
  get layer() {
    return this.app.store.state.draft.layers.find(({ id }) => id === this.id);
  }

  /** Change the layer; changes with one key that follow each other are one step of undo. */
  edit(changes, key = null) {
    this.app.drafts.editLayer(this.id, changes, key);
  }

  /** As Store.on, with `select(layer, state)`; a layer that is gone selects nothing new. */
  on(select, react) {
    let last;
    const read = (state) => {
      const layer = state.draft.layers.find(({ id }) => id === this.id);
      return layer ? (last = select(layer, state)) : last;
    };
    this.#ends.push(this.app.store.on(read, react));
  }

  end() {
    this.#ends.forEach((end) => end());
    this.#ends = [];
  }
}
