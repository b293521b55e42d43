/** The picture that the shown one was begun from, such as that of an upscale: fetched when it is first compared. */

import { bitmapOf } from "../core/maps.js";

export class Before {
  #app;
  #id = null;
  #bitmap = null;

  /** `show()` is called when there is something else to draw. */
  constructor(app, show) {
    this.#app = app;
    app.store.on(
      ({ view, shown }) => (view === "compare" ? shown?.id : this.#id),
      async (id) => {
        if (id === this.#id) return;
        this.#id = id;
        this.#bitmap = null;
        const bitmap = id ? await this.#fetch(id) : null;
        if (id !== this.#id) return;
        this.#bitmap = bitmap;
        show();
      },
    );
  }

  /** As it is decoded; null for a picture that was begun from noise alone, and while a job shows its preview. */
  get bitmap() {
    const { shown, preview } = this.#app.store.state;
    return shown?.id === this.#id && !preview ? this.#bitmap : null;
  }

  /** Pictures of other programs have none. */
  async #fetch(id) {
    const { path } = await this.#app.server.call("before", { id }).catch(() => ({ path: null }));
    return path ? bitmapOf(this.#app.server.fileUrl(path)) : null;
  }
}
