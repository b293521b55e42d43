/** Small pictures: asked for together, each once. */

const GATHER = 30; // ms in which wishes become one call
const MOST = 100; // of one call
const KEPT = 4000;

export class Thumbnails {
  #server;
  #urls = new Map();
  #wanted = new Map();
  #timer = 0;

  constructor(server) {
    this.#server = server;
  }

  /** The address of a picture's thumbnail; null where there is none. */
  get(id) {
    if (this.#urls.has(id)) return Promise.resolve(this.#urls.get(id));
    const waiting = this.#wanted.get(id);
    if (waiting) return waiting.promise;
    const wish = newWish();
    this.#wanted.set(id, wish);
    this.#timer ||= setTimeout(() => this.#ask(), GATHER);
    return wish.promise;
  }

  /** Show a picture's thumbnail in an <img>, unless that shows another one by then. */
  async show(image, id, otherwise = "") {
    if (image.dataset.picture === id) return;
    image.dataset.picture = id;
    if (!this.#urls.has(id)) image.removeAttribute("src");
    const url = (await this.get(id)) ?? otherwise;
    if (url && image.dataset.picture === id) image.src = url;
  }

  async #ask() {
    this.#timer = 0;
    const wishes = [...this.#wanted.entries()];
    this.#wanted.clear();
    for (let from = 0; from < wishes.length; from += MOST) await this.#askFor(wishes.slice(from, from + MOST));
  }

  async #askFor(wishes) {
    const answer = await this.#server.call("thumbnails", { ids: wishes.map(([id]) => id) }).catch(() => null);
    for (const [id, wish] of wishes) {
      const path = answer?.paths[id];
      if (path) this.#keep(id, this.#server.fileUrl(path));
      wish.resolve(this.#urls.get(id) ?? null);
    }
  }

  #keep(id, url) {
    this.#urls.set(id, url);
    if (this.#urls.size > KEPT) this.#urls.delete(this.#urls.keys().next().value);
  }
}

function newWish() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}
