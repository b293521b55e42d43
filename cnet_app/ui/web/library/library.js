/** The library: every finished picture, by day, with search, filters and actions for many at once. */

import { open } from "../dialogs/boards.js";
import { fill, h, iconButton } from "../core/dom.js";
import { buildDetail } from "./library_detail.js";
import { PictureGrid } from "./library_grid.js";
import { Pages } from "./library_pages.js";
import { showPicture } from "./shelf.js";

const WAIT = 200; // ms of silence in the search field
const EVERYTHING = { text: "", condition: "", base: "", board: "", favourites: false, min_score: "", deleted: false, sort: "newest" };
const SORTS = [["newest", "Newest first"], ["oldest", "Oldest first"], ["score", "Best score first"]];
const SCORES = [["", "Any score"], ["0.5", "50 % and more"], ["0.7", "70 % and more"], ["0.8", "80 % and more"], ["0.9", "90 % and more"]];

/** Open the library over the page; Escape returns. */
export function openLibrary(app) {
  app.library ??= new LibraryView(app);
  app.library.open();
}

class LibraryView {
  #app;
  #query = EVERYTHING;
  #grid;
  #detail;
  #timer = 0;
  #run = 0;

  constructor(app) {
    this.#app = app;
    this.#grid = new PictureGrid(app, { changed: (pictures) => this.#detail?.show(pictures), opened: (picture) => this.#toStage(picture) });
    this.#detail = buildDetail(app, { close: () => this.dialog.close(), grid: () => this.#grid });
    this.count = h("span", { class: "library-count", role: "status" });
    this.filters = h("div", { class: "library-filters", role: "group", "aria-label": "Filters" });
    this.empty = h("p", { class: "library-empty", hidden: true });
    this.dialog = this.#build();
    app.root.append(this.dialog);
    const again = () => this.dialog.open && this.#search(true);
    app.store.on(({ libraryVersion, ended }) => [libraryVersion, ended], again);
  }

  open() {
    if (this.dialog.open) return;
    this.dialog.showModal();
    this.#fillFilters();
    this.#search();
  }

  #build() {
    const { store } = this.#app;
    const error = h("p", { class: "library-error", role: "alert" });
    store.on(({ error: text }) => text, (text) => {
      error.textContent = text;
      error.hidden = !text;
    });
    return h(
      "dialog",
      { class: "library", "aria-labelledby": "library-title" },
      h("header", { class: "library-head" }, h("h2", { id: "library-title" }, "Library"), this.count, h("span", { class: "bar-space" }), iconButton("cancel", "Close the library (Esc)", () => this.dialog.close())),
      this.filters,
      error,
      h("div", { class: "library-body" }, h("div", { class: "library-pictures" }, this.empty, this.#grid.element), this.#detail.element),
    );
  }

  /** Boards and models change; the fields are built again whenever the library is opened. */
  async #fillFilters() {
    const { boards, bases } = await this.#app.server.call("shelves").catch(() => ({ boards: [], bases: [] }));
    const { conditions } = this.#app.store.state.tables;
    const focused = document.activeElement?.id;
    fill(
      this.filters,
      h("input", { type: "search", id: "library-text", placeholder: "Words of the prompt", "aria-label": "Search", value: this.#query.text, oninput: ({ target }) => this.#change({ text: target.value }, WAIT) }),
      this.#choice("condition", "Condition", [["", "All conditions"], ...conditions.map(({ id, title }) => [id, title])]),
      this.#choice("base", "Model", [["", "All models"], ...bases.map((id) => [id, titleOfBase(this.#app, id)])]),
      this.#choice("board", "Board", [["", "All boards"], ...boards.map(({ name, count }) => [name, `${name} (${count})`])]),
      this.#choice("min_score", "Score", SCORES),
      this.#choice("sort", "Order", SORTS),
      this.#toggle("favourites", "Favourites"),
      this.#toggle("deleted", "Trash"),
      h("button", { type: "button", id: "empty-trash", hidden: !this.#query.deleted, onclick: () => this.#emptyTrash() }, "Empty the trash…"),
    );
    if (focused && this.filters.querySelector(`#${focused}`)) this.filters.querySelector(`#${focused}`).focus();
  }

  #choice(name, label, rows) {
    const select = h("select", { id: `library-${name}`, "aria-label": label, onchange: () => this.#change({ [name]: select.value }) }, rows.map(([value, title]) => h("option", { value }, title)));
    select.value = this.#query[name];
    return select;
  }

  #toggle(name, title) {
    const button = h("button", { type: "button", id: `library-${name}`, "aria-pressed": String(this.#query[name]) }, title);
    button.onclick = () => {
      this.#change({ [name]: !this.#query[name] });
      button.setAttribute("aria-pressed", String(this.#query[name]));
      this.filters.querySelector("#empty-trash").hidden = !this.#query.deleted;
    };
    return button;
  }

  #change(changes, wait = 0) {
    this.#query = { ...this.#query, ...changes };
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#search(), wait);
  }

  /** Search; `isSame` keeps the place and the selection. */
  async #search(isSame = false) {
    const run = ++this.#run;
    const pages = new Pages(this.#app.server, queryOf(this.#query), () => run === this.#run && this.#grid.render());
    await this.#app.attempt(async () => {
      await pages.begin();
      if (run !== this.#run) return;
      this.#grid.show(pages, isSame);
      if (isSame) this.#keepSelection(pages);
      this.count.textContent = `${pages.total.toLocaleString("en")} ${pages.total === 1 ? "picture" : "pictures"}`;
      this.empty.hidden = pages.total > 0;
      this.empty.textContent = emptyWords(this.#query);
    });
  }

  /** What was deleted, or no longer fits the search, is no longer chosen; marks are shown as they are now. */
  async #keepSelection(pages) {
    const { selection } = this.#grid;
    if (!selection.length) return;
    const found = new Map((await pages.between(0, pages.total - 1)).map((picture) => [picture.id, picture]));
    this.#grid.select(selection.map(({ id }) => found.get(id)).filter(Boolean));
  }

  #toStage(picture) {
    if (picture.deleted) return;
    this.dialog.close();
    showPicture(this.#app, picture);
  }

  async #emptyTrash() {
    const dialog = h(
      "dialog",
      { class: "dialog ask", "aria-labelledby": "ask-empty" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "ask-empty" }, "Empty the trash?"),
        h("p", {}, "All pictures in the trash are removed from the disk. This cannot be undone."),
        h("div", { class: "ask-buttons" }, h("button", { value: "empty" }, "Remove them"), h("button", { class: "primary", value: "", autofocus: true }, "Keep them")),
      ),
    );
    if ((await open(this.#app, dialog)) !== "empty") return;
    await this.#app.attempt(() => this.#app.server.call("empty_trash"));
    this.#search();
  }
}

function queryOf({ condition, min_score: score, ...query }) {
  return { ...query, conditions: condition ? [condition] : [], min_score: score ? Number(score) : null };
}

function titleOfBase(app, id) {
  return app.store.state.choices.lists.base.find((row) => row.id === id)?.title ?? id;
}

function emptyWords(query) {
  if (query.deleted) return "The trash is empty.";
  const isFiltered = Object.keys(EVERYTHING).some((name) => name !== "sort" && query[name] !== EVERYTHING[name]);
  return isFiltered ? "No picture fits this search." : "There is no picture yet; every finished one is kept here.";
}
