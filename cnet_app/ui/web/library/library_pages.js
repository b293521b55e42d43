/** What a search of the library found, fetched page by page as it is needed. */

const PAGE = 100;
const AT_ONCE = 1000;

export class Pages {
  #server;
  #query;
  #changed;
  #pictures = new Map(); // by index
  #asked = new Map(); // by page: the promise of it
  total = 0;
  /** [day, count], in the order of the pictures; one entry where they are not in the order of time. */
  days = [];

  /** `changed()` is called whenever a page has arrived. */
  constructor(server, query, changed) {
    this.#server = server;
    this.#query = query;
    this.#changed = changed;
  }

  /** Fetch the first page. */
  async begin() {
    await this.#fetch(0);
  }

  /** The picture at an index; undefined until its page is here, which is asked for. */
  at(index) {
    if (!this.#pictures.has(index)) this.#fetch(Math.floor(index / PAGE)).catch((refusal) => console.warn(refusal));
    return this.#pictures.get(index);
  }

  /** All pictures between two indexes, both included. */
  async between(one, other) {
    const [first, last] = [Math.min(one, other), Math.max(one, other)];
    for (let offset = first; offset <= last; offset += AT_ONCE) {
      const limit = Math.min(AT_ONCE, last - offset + 1);
      if (!this.#has(offset, limit)) this.#keep(offset, await this.#ask(offset, limit));
    }
    return Array.from({ length: last - first + 1 }, (_, place) => this.#pictures.get(first + place)).filter(Boolean);
  }

  #has(offset, limit) {
    return Array.from({ length: limit }, (_, place) => offset + place).every((index) => this.#pictures.has(index));
  }

  #fetch(page) {
    if (!this.#asked.has(page)) this.#asked.set(page, this.#load(page));
    return this.#asked.get(page);
  }

  async #load(page) {
    try {
      this.#keep(page * PAGE, await this.#ask(page * PAGE, PAGE));
      this.#changed();
    } catch (refusal) {
      this.#asked.delete(page);
      throw refusal;
    }
  }

  #ask(offset, limit) {
    return this.#server.call("library", { query: this.#query, offset, limit });
  }

  #keep(offset, { pictures, total, days }) {
    pictures.forEach((picture, place) => this.#pictures.set(offset + place, { ...picture, url: this.#server.fileUrl(picture.path), scores: null, words: "" }));
    this.total = total;
    const { sort } = this.#query;
    if (sort === "score") this.days = [["", total]];
    else this.days = sort === "oldest" ? days.toReversed() : days;
  }
}
