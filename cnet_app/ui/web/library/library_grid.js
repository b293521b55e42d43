/** The pictures of the library as a list of which only the visible rows are in the document; several can be selected. */

import { fill, h, icon, keyed } from "../core/dom.js";
import { Layout } from "./library_layout.js";

const SPARE = 200; // px above and below what is visible

export class PictureGrid {
  #app;
  #pages = null;
  #layout = new Layout([], 800);
  #active = 0;
  #anchor = 0;
  #selected = new Map(); // pictures by id
  #changed;
  #opened;
  #isDirty = false;

  /** `changed(pictures)` gets the selection, `opened(picture)` one that is wanted on the stage. */
  constructor(app, { changed, opened }) {
    this.#app = app;
    this.#changed = changed;
    this.#opened = opened;
    this.sheet = h("div", { class: "grid-sheet", role: "listbox", "aria-label": "Pictures", "aria-multiselectable": "true", tabindex: "-1" });
    this.element = h("div", { class: "grid-scroll", onscroll: () => this.render() }, this.sheet);
    this.sheet.addEventListener("click", (event) => this.#click(event));
    this.sheet.addEventListener("dblclick", (event) => this.#open(this.#indexOf(event.target)));
    this.sheet.addEventListener("keydown", (event) => this.#press(event));
    new ResizeObserver(() => this.arrange()).observe(this.element);
  }

  get selection() {
    return [...this.#selected.values()];
  }

  /** Show what a search found; `isSame` keeps selection and place. */
  show(pages, isSame = false) {
    this.#pages = pages;
    if (!isSame) {
      this.#selected.clear();
      this.#active = this.#anchor = 0;
      this.element.scrollTop = 0;
      this.#changed([]);
    }
    this.arrange();
  }

  /** Lay the pictures out again, as after a change of the width or of their number. */
  arrange() {
    const width = this.sheet.clientWidth;
    if (!this.#pages || !width) return;
    this.#layout = new Layout(this.#pages.days, width);
    this.#active = Math.min(this.#active, Math.max(0, this.#layout.count - 1));
    this.sheet.style.height = `${this.#layout.height}px`;
    this.render();
  }

  /** Bring the document up to date with the next frame of the screen. */
  render() {
    if (this.#isDirty) return;
    this.#isDirty = true;
    requestAnimationFrame(() => {
      this.#isDirty = false;
      this.#render();
    });
  }

  /** Select these pictures and no others. */
  select(pictures) {
    this.#selected = new Map(pictures.map((picture) => [picture.id, picture]));
    this.#changed(pictures);
    this.render();
  }

  #render() {
    if (!this.#pages || !this.element.isConnected) return;
    const { scrollTop, clientHeight } = this.element;
    const groups = this.#layout.visible(scrollTop - SPARE, scrollTop + clientHeight + SPARE);
    if (this.sheet.contains(document.activeElement)) this.#addActive(groups);
    keyed(this.sheet, groups, ({ section }) => `${section.day}-${section.start}`, (group) => this.#buildGroup(group), (element, group) => this.#updateGroup(element, group));
    const stop = this.sheet.querySelector(`[data-key="${this.#active}"]`) ?? this.sheet.querySelector("[role=option]");
    for (const option of this.sheet.querySelectorAll("[role=option]")) option.tabIndex = option === stop ? 0 : -1;
  }

  /** The focused picture stays in the document, wherever it was scrolled to. */
  #addActive(groups) {
    if (groups.some(({ first, last }) => this.#active >= first && this.#active <= last)) return;
    const section = this.#layout.sectionOf(this.#active);
    const group = groups.find((one) => one.section === section);
    if (group) group.active = this.#active;
    else if (section) groups.push({ section, first: this.#active, last: this.#active });
  }

  #buildGroup({ section }) {
    const heading = h("div", { class: "grid-day", "aria-hidden": "true" });
    return h("div", { class: "grid-group", role: "group", style: { top: `${section.top}px` } }, heading, h("div", { class: "grid-tiles", role: "presentation" }));
  }

  #updateGroup(element, { section, first, last, active }) {
    const [heading, tiles] = element.children;
    const text = headingOf(section);
    heading.textContent = text;
    element.setAttribute("aria-label", text);
    Object.assign(element.style, { top: `${section.top}px`, height: `${section.height}px` });
    const indexes = Array.from({ length: last - first + 1 }, (_, place) => first + place);
    if (active !== undefined) indexes.push(active);
    keyed(tiles, indexes, String, () => this.#buildTile(), (tile, index) => this.#updateTile(tile, index));
  }

  #buildTile() {
    return h("div", { class: "tile", role: "option" }, h("img", { alt: "", decoding: "async" }));
  }

  #updateTile(tile, index) {
    const { left, top } = this.#layout.place(index);
    const side = `${this.#layout.side}px`;
    Object.assign(tile.style, { width: side, height: side, transform: `translate(${left}px, ${top}px)` });
    tile.setAttribute("aria-posinset", String(index + 1));
    tile.setAttribute("aria-setsize", String(this.#layout.count));
    const picture = this.#pages.at(index);
    tile.setAttribute("aria-selected", String(this.#selected.has(picture?.id)));
    tile.setAttribute("aria-label", picture ? labelOf(picture) : "Loading");
    const [image] = tile.children;
    const score = typeof picture?.score === "number" && `${Math.round(100 * picture.score)} %`;
    fill(tile, image, picture?.favourite && h("span", { class: "tile-mark" }, icon("star")), score && h("span", { class: "tile-score" }, score));
    if (picture) this.#app.thumbnails.show(image, picture.id);
    else {
      delete image.dataset.picture;
      image.removeAttribute("src");
    }
  }

  #indexOf(target) {
    const tile = target.closest?.("[role=option]");
    return tile ? Number(tile.dataset.key) : -1;
  }

  #click(event) {
    const index = this.#indexOf(event.target);
    if (index < 0) return;
    this.#active = index;
    this.#choose(index, { isRange: event.shiftKey, isMore: event.ctrlKey || event.metaKey });
  }

  /** Select one picture, add or take it with Ctrl, or all from the last chosen one with Shift. */
  async #choose(index, { isRange = false, isMore = false } = {}) {
    if (isRange) {
      const pictures = await this.#pages.between(this.#anchor, index);
      this.#selected = new Map(pictures.map((picture) => [picture.id, picture]));
    } else {
      const picture = this.#pages.at(index);
      if (!picture) return;
      const wasIn = this.#selected.has(picture.id);
      if (!isMore) this.#selected.clear();
      if (isMore && wasIn) this.#selected.delete(picture.id);
      else this.#selected.set(picture.id, picture);
      this.#anchor = index;
    }
    this.#changed(this.selection);
    this.#focus();
  }

  #press(event) {
    const { key, shiftKey } = event;
    const now = this.#active;
    const page = Math.max(1, Math.floor(this.element.clientHeight / (this.#layout.side + 8)));
    const leap = (step) => Array.from({ length: page }).reduce((index) => this.#layout.neighbour(index, step), now);
    const moves = {
      ArrowLeft: () => now - 1,
      ArrowRight: () => now + 1,
      ArrowUp: () => this.#layout.neighbour(now, -1),
      ArrowDown: () => this.#layout.neighbour(now, 1),
      PageUp: () => leap(-1),
      PageDown: () => leap(1),
      Home: () => 0,
      End: () => this.#layout.count - 1,
    };
    if (moves[key]) this.#move(moves[key](), shiftKey);
    else if (key === " ") this.#choose(now, { isMore: true });
    else if (key === "Enter") this.#open(now);
    else if (key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) this.#chooseAll();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #chooseAll() {
    this.#anchor = 0;
    return this.#choose(this.#layout.count - 1, { isRange: true });
  }

  #move(index, isRange) {
    if (!this.#layout.count) return;
    this.#active = Math.min(Math.max(index, 0), this.#layout.count - 1);
    if (isRange) this.#choose(this.#active, { isRange: true });
    else this.#focus();
  }

  /** Bring the active picture into view and focus it. */
  #focus() {
    const { top, bottom } = this.#layout.extent(this.#active);
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.element.scrollTop = bottom - clientHeight;
    this.#render();
    this.sheet.querySelector(`[role=option][data-key="${this.#active}"]`)?.focus({ preventScroll: true });
  }

  #open(index) {
    const picture = this.#pages?.at(index);
    if (picture) this.#opened(picture);
  }
}

function labelOf({ prompt, seed, favourite, score }) {
  const parts = [prompt || "no prompt", seed !== null && `seed ${seed}`, favourite && "favourite", typeof score === "number" && `score ${Math.round(100 * score)} %`];
  return parts.filter(Boolean).join(", ");
}

function headingOf({ day, count }) {
  const pictures = `${count.toLocaleString("en")} ${count === 1 ? "picture" : "pictures"}`;
  return day ? `${dayWords(day)} · ${pictures}` : `Best score first · ${pictures}`;
}

function dayWords(day) {
  const [year, month, date] = day.split("-").map(Number);
  const then = new Date(year, month - 1, date);
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - then) / 86_400_000);
  if (days === 0 || days === 1) return days ? "Yesterday" : "Today";
  return then.toLocaleDateString("en", { weekday: "long", year: "numeric", month: "long", day: "numeric" });
}
