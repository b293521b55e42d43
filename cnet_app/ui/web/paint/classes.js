/** The class painter: a segmentation map painted by the names of the 150 ADE20K classes. */

import { detectMap } from "./detected.js";
import { h, keyed } from "../core/dom.js";
import { LabelRaster } from "./labels.js";
import { actions, buildPanel, labelled, loadButton, slider, wordButton } from "./paintbox.js";
import { PaintTool } from "./painting.js";
import { layerField } from "./sheet.js";

const KEPT = 8; // classes that were used last
const FIRST = "sky";

/** Paint what is where in the open layer. */
export function classTool(app) {
  return new ClassTool(app);
}

/** Classes whose names have a word that begins with `text`, then those that hold it anywhere. */
function findClasses(classes, text) {
  const wanted = text.trim().toLowerCase();
  const begins = ({ name }) => name.startsWith(wanted) || name.split(" ").some((word) => word.startsWith(wanted));
  return [...classes.filter(begins), ...classes.filter((row) => !begins(row) && row.name.includes(wanted))];
}

class ClassTool extends PaintTool {
  constructor(app) {
    const { classes } = app.store.state.tables;
    const create = (width, height) => new LabelRaster(width, height, classes.map(({ colour }) => colour));
    const field = layerField(app, { name: "class painting", field: "classes", create, also: { source: "classes" } });
    const chosen = classes.find(({ name }) => name === FIRST).id;
    const options = { size: 40, tolerance: 0, hasTolerance: false, opacity: 0.75, chosen, recent: [chosen], shares: [], search: "" };
    super(app, { id: "classes", hint: "Choose a class by its name and paint where it is.", field, options });
    this.classes = classes;
  }

  get opacity() {
    return this.options.state.opacity;
  }

  /** An ink's level is the label that it leaves. */
  inkOf(isErasing) {
    return { level: isErasing ? 0 : this.options.state.chosen + 1, soft: false };
  }

  shade(isErasing) {
    return isErasing ? "#000" : css(this.classes[this.options.state.chosen]);
  }

  paintBelow(context) {
    const { width, height } = this.stage.frame;
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    this.stage.drawPhoto(context);
  }

  /** The class that was painted with is the first of those that were used. */
  changed() {
    const { recent, chosen } = this.options.state;
    this.options.patch({ shares: this.sheet.raster.shares(), recent: [chosen, ...recent.filter((id) => id !== chosen)].slice(0, KEPT) });
  }

  pick(x, y) {
    const label = this.sheet.raster.labelAt(x, y);
    if (!label) return;
    this.chooseClass(label - 1);
    if (this.options.state.mode === "pick") this.choose("brush");
  }

  /** Paint with a class from now on. */
  chooseClass(id) {
    this.options.patch({ chosen: id });
    if (this.options.state.mode === "erase") this.choose("brush");
  }

  take(picture) {
    super.take(picture);
    const { strange } = this.sheet.raster;
    if (strange > 0) {
      const share = strange < 0.01 ? "Less than 1 %" : `${Math.round(100 * strange)} %`;
      this.app.say(`${share} of the picture had no colour of a class; it was given the class with the nearest colour.`);
    }
  }

  /** Take what is detected in the photo as the painting. */
  async fromDetection() {
    await this.app.attempt(async () => {
      const map = await detectMap(this.app);
      if (map) this.take(map);
    });
  }

  panel() {
    const help = "Click a class in the list, or Alt-click one in the picture, to paint with it. The eraser leaves no class (black).";
    return buildPanel(
      this,
      { title: "Classes", modes: ["brush", "erase", "rectangle", "polygon", "fill", "pick"], help, first: [this.#search(), this.#list()] },
      slider(this, "opacity", "Opacity", { min: 0.1, max: 1, step: 0.05, show: (value) => `${Math.round(100 * value)} %` }),
      actions(this, wordButton("image", "From detection", () => this.fromDetection(), "Take the classes that are detected in the photo"), loadButton(this)),
    );
  }

  #search() {
    const input = h("input", {
      type: "search",
      class: "paint-search",
      placeholder: "Search 150 classes",
      autocomplete: "off",
      oninput: () => this.options.patch({ search: input.value }),
      onkeydown: (event) => event.key === "Enter" && this.#takeFirst(),
    });
    this.follow(this.options, ({ search }) => search, (text) => text !== input.value && (input.value = text));
    return labelled("search", "Class", input);
  }

  #takeFirst() {
    const [first] = findClasses(this.classes, this.options.state.search);
    if (!first) return;
    this.chooseClass(first.id);
    this.options.patch({ search: "" });
  }

  /** Without a search: the classes in the picture with their shares, then those used last, then all others. */
  #list() {
    const list = h("div", { class: "paint-classes", role: "radiogroup", "aria-label": "Classes" });
    const build = ({ id, name }) =>
      h(
        "label",
        {},
        h("input", { type: "radio", name: "paint-class", value: id, onchange: () => this.chooseClass(id) }),
        h("span", { class: "paint-swatch", style: { background: css(this.classes[id]) } }),
        h("span", { class: "paint-class" }, name),
        h("span", { class: "paint-share" }),
      );
    const update = (item, { id }) => {
      const { chosen, shares } = this.options.state;
      item.firstChild.checked = id === chosen;
      item.lastChild.textContent = shareText(shares.find((one) => one.id === id)?.share);
    };
    this.follow(this.options, ({ search, shares, recent, chosen }) => [search, shares, recent, chosen], () => {
      keyed(list, this.#listed(), ({ id }) => id, build, update);
    });
    return list;
  }

  #listed() {
    const { search, shares, recent } = this.options.state;
    if (search.trim()) return findClasses(this.classes, search);
    const first = new Set([...shares.map(({ id }) => id), ...recent]);
    return [...[...first].map((id) => this.classes[id]), ...this.classes.filter(({ id }) => !first.has(id))];
  }
}

function shareText(share) {
  if (!share) return "";
  return share < 0.01 ? "< 1 %" : `${Math.round(100 * share)} %`;
}

function css({ colour: [red, green, blue] }) {
  return `rgb(${red},${green},${blue})`;
}
