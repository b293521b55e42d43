/** The tools that paint on the stage: drawing, masks, weights. Classes are painted by classes.js. */

import { detectMap } from "./detected.js";
import { h } from "../core/dom.js";
import { GreyRaster, InkRaster } from "./raster.js";
import { actions, buildPanel, checkbox, choice, labelled, loadButton, showWhen, slider, wordButton } from "./paintbox.js";
import { PaintTool } from "./painting.js";
import { layerField, startField } from "./sheet.js";

export { classTool } from "./classes.js";

const INK = "#14171a";
const MASK = "#ff2d78";
const percent = (value) => `${Math.round(100 * value)} %`;

/** Draw the map of the open layer by hand. */
export function drawTool(app) {
  return new DrawTool(app);
}

/** Paint where a layer counts (target "layer"), or what is painted anew of the picture that is started from ("start"). */
export function maskTool(app, target = "layer") {
  return new MaskTool(app, target);
}

/** Paint how strongly the open layer counts at each place, from -1 to 1. */
export function weightTool(app) {
  return new WeightTool(app);
}

class DrawTool extends PaintTool {
  #traced = null; // the detected map, while it is traced
  #run = 0;

  constructor(app) {
    const create = (width, height) => new InkRaster(width, height, INK);
    const field = layerField(app, { name: "drawing", field: "drawing", create, also: { source: "drawing" } });
    const hint = "Draw what the map should show; dark on the paper becomes white on the map.";
    super(app, { id: "draw", hint, field, options: { trace: "paper", opacity: 0.5 } });
  }

  inkOf(isErasing) {
    return { level: isErasing ? 0 : 255, soft: false };
  }

  shade(isErasing) {
    return isErasing ? "#fff" : INK;
  }

  paintBelow(context) {
    const { trace, opacity } = this.options.state;
    const { width, height } = this.stage.frame;
    const paper = (alpha, operation = "source-over") => {
      Object.assign(context, { globalAlpha: alpha, globalCompositeOperation: operation, fillStyle: "#fff" });
      context.fillRect(0, 0, width, height);
    };
    context.save();
    paper(1);
    if (trace === "photo") this.stage.drawPhoto(context);
    if (trace === "map" && this.#traced) {
      this.stage.drawWhole(context, this.#traced);
      paper(1, "difference"); // bright on the map is dark on the paper
    }
    paper(1 - opacity);
    context.restore();
  }

  panel() {
    const traces = [["paper", "Paper"], ["photo", "Photo"], ["map", "Detected map"]];
    const opacity = slider(this, "opacity", "Its opacity", { min: 0, max: 1, step: 0.05, show: percent });
    showWhen(this, opacity, ({ trace }) => trace !== "paper");
    this.follow(this.options, ({ trace }) => trace, () => this.#trace());
    this.follow(this.app.store, ({ draft, frame }) => [draft.photo, draft.open, frame], () => this.#trace());
    const help = "A pen draws wider where you press. Shift draws a straight line. Alt erases with any tool.";
    return buildPanel(
      this,
      { title: "Drawing", modes: ["brush", "erase", "line", "fill"], help },
      choice(this, "trace", "Trace over", traces),
      opacity,
      actions(
        this,
        wordButton("image", "Start from the map", () => this.startFromMap(), "Take the detected map as the drawing, to change it by hand"),
        loadButton(this),
      ),
    );
  }

  /** Take the detected map as the drawing. */
  async startFromMap() {
    await this.app.attempt(async () => {
      const map = await detectMap(this.app);
      if (map) super.take(map);
    });
  }

  /** Scans are dark on white, drawings white on black: a picture that is mostly bright is turned round. */
  take(picture) {
    this.change((raster) => {
      raster.take(picture, this.stage.frame.fit);
      const { levels } = raster;
      if (levels.reduce((sum, level) => sum + level, 0) < 128 * levels.length) return;
      raster.invert();
      this.app.say("The picture is dark lines on white, so it was inverted.");
    });
  }

  async #trace() {
    const run = ++this.#run;
    this.#traced = null;
    if (this.options.state.trace !== "map" || !this.sheet.isOwned) return;
    const map = await this.app.attempt(() => detectMap(this.app));
    if (run !== this.#run) return;
    this.#traced = map ?? null;
    this.stage?.redraw();
  }
}

class MaskTool extends PaintTool {
  constructor(app, target) {
    const create = (width, height) => new InkRaster(width, height, MASK);
    const rival = { field: "weight_map", name: "weight map" };
    const field = target === "start" ? startField(app, "mask", create) : layerField(app, { name: "mask", field: "mask", create, rival });
    const hint =
      target === "start" ? "Paint over what is to be repainted; the rest stays." : "Paint over where this layer counts; elsewhere it has no effect.";
    super(app, { id: target === "start" ? "startmask" : "mask", hint, field, options: { size: 40, amount: 8, isSoft: false } });
    this.target = target;
  }

  get opacity() {
    return 0.5;
  }

  inkOf(isErasing) {
    return { level: isErasing ? 0 : 255, soft: this.options.state.isSoft };
  }

  shade(isErasing) {
    return isErasing ? "#fff" : MASK;
  }

  panel() {
    const border = (name, label, change, title) => wordButton(name, label, () => this.change((raster) => change(raster, this.options.state.amount)), title);
    return buildPanel(
      this,
      { title: "Mask", modes: ["brush", "erase", "rectangle", "fill"], help: `${this.hint} Alt erases with any tool.` },
      checkbox(this, "isSoft", "Soft brush"),
      this.target === "layer" ? this.#feather() : null,
      slider(this, "amount", "Border", { min: 1, max: 64, step: 1, show: (value) => `${value} px` }),
      h(
        "div",
        { class: "paint-actions" },
        border("add", "Grow", (raster, by) => raster.grow(by), "Move the mask's border outwards"),
        border("minus", "Shrink", (raster, by) => raster.grow(-by), "Move the mask's border inwards"),
        this.target === "start" ? border("feather", "Soften", (raster, by) => raster.soften(by), "Let the mask's border fade") : null,
      ),
      actions(this, wordButton("invert", "Invert", () => this.change((raster) => raster.invert())), loadButton(this)),
    );
  }

  /** How softly the mask of a layer fades is a number of the layer. */
  #feather() {
    const { store, drafts } = this.app;
    const { minimum, maximum, step } = store.state.tables.limits.unit.mask_feather;
    const change = () => drafts.editLayer(drafts.now.open, { mask_feather: Number(input.value) }, "mask_feather");
    const input = h("input", { type: "range", min: minimum, max: maximum, step, oninput: change });
    const output = h("output", {});
    const feather = ({ draft }) => draft.layers.find(({ id }) => id === draft.open)?.mask_feather ?? 0;
    this.follow(store, feather, (value) => {
      input.value = value;
      output.textContent = `${value} px`;
    });
    return labelled("feather", "Feather", input, output);
  }
}

/** From full control, which is clear, over none, which is dark, to pushing away, which is blue. */
const WEIGHT_STOPS = [
  [-1, [20, 70, 255, 0.85]],
  [-0.5, [80, 130, 220, 0.75]],
  [0, [30, 30, 30, 0.72]],
  [0.5, [250, 160, 30, 0.5]],
  [1, [250, 160, 30, 0]],
];
const WEIGHT_NAMES = new Map([[-1, "pushed away"], [-0.5, "half away"], [0, "no control"], [0.5, "half"], [1, "full control"]]);

class WeightTool extends PaintTool {
  constructor(app) {
    const create = (width, height) => new GreyRaster(width, height, (level) => weightColour(valueOf(level)));
    const hint = "Paint how strongly this layer counts at each place: 1 fully, 0 not at all, below 0 away from the map.";
    const field = layerField(app, { name: "weight map", field: "weight_map", create, rival: { field: "mask", name: "mask" } });
    super(app, { id: "weights", hint, field, options: { size: 60, value: 0, isSoft: true } });
  }

  /** The eraser brings back full control, which is everywhere at first. */
  inkOf(isErasing) {
    const { value, isSoft } = this.options.state;
    return { level: isErasing ? 255 : levelOf(value), soft: isSoft };
  }

  shade(isErasing) {
    const [red, green, blue, alpha] = weightColour(isErasing ? 1 : this.options.state.value);
    return `rgba(${red},${green},${blue},${alpha / 255})`;
  }

  panel() {
    const buttons = WEIGHT_STOPS.map(([value]) =>
      h(
        "button",
        { type: "button", title: WEIGHT_NAMES.get(value), dataset: { value }, onclick: () => this.options.patch({ value }) },
        String(value).replace("-", "−"),
      ),
    );
    this.follow(this.options, ({ value }) => value, (chosen) =>
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(Number(button.dataset.value) === chosen))),
    );
    const fillAll = () => this.change((raster) => raster.fillAll(levelOf(this.options.state.value)));
    return buildPanel(
      this,
      { title: "Weights", modes: ["brush", "erase", "rectangle", "fill"], help: `${this.hint} The eraser brings back 1.` },
      slider(this, "value", "Value", { min: -1, max: 1, step: 0.05, show: (value) => value.toFixed(2).replace("-", "−") }),
      h("div", { class: "paint-values", role: "group", "aria-label": "Value" }, buttons),
      legend(),
      checkbox(this, "isSoft", "Soft brush"),
      actions(
        this,
        wordButton("fill", "Fill all", fillAll, "Give every place this value"),
        wordButton("invert", "Invert", () => this.change((raster) => raster.invert()), "Turn every value into its opposite"),
        loadButton(this),
      ),
    );
  }
}

function legend() {
  const names = [-1, 0, 1].map((value) => h("span", {}, `${String(value).replace("-", "−")} ${WEIGHT_NAMES.get(value)}`));
  const colours = WEIGHT_STOPS.map(([, [red, green, blue, alpha]]) => `rgba(${red},${green},${blue},${alpha})`).join(",");
  const bar = h("div", { class: "paint-weights", style: { background: `linear-gradient(to right,${colours}),var(--checks)` } });
  return h("div", { class: "paint-legend" }, bar, h("div", { class: "paint-legend-names" }, names));
}

/** A weight from -1 to 1 as the grey level that stands for it. */
function levelOf(value) {
  return Math.round(128 + 127 * value);
}

function valueOf(level) {
  return Math.max((level - 128) / 127, -1);
}

/** [red, green, blue, alpha], each from 0 to 255. */
function weightColour(value) {
  const next = Math.max(1, WEIGHT_STOPS.findIndex(([stop]) => value <= stop));
  const [[low, from], [high, to]] = [WEIGHT_STOPS[next - 1], WEIGHT_STOPS[next]];
  const share = (value - low) / (high - low);
  return from.map((part, index) => Math.round((part + (to[index] - part) * share) * (index === 3 ? 255 : 1)));
}
