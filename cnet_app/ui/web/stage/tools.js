/** The tools of the stage: which fit the open layer, and the one in the hand. */

import { h, icon } from "../core/dom.js";
import { refusalOf } from "../core/refusal.js";

/** Kinds of maps that are drawn by hand. */
const DRAWN = ["lines", "soft_lines"];

/** A row a tool: whether it fits a layer of a condition, the field of the layer that a base may refuse, and the module that makes it, loaded when it is first taken. */
const TOOLS = [
  { id: "draw", title: "Draw", icon: "brush", fits: (row) => row && (row.canvas || DRAWN.includes(row.kind)), make: async (app) => (await import("../paint/paint.js")).drawTool(app) },
  { id: "pose", title: "Pose", icon: "pose", fits: (row) => row?.data === "pose", make: async (app) => (await import("../pose/pose.js")).poseTool(app) },
  { id: "classes", title: "Classes", icon: "classes", fits: (row) => row?.data === "classes", make: async (app) => (await import("../paint/paint.js")).classTool(app) },
  { id: "mask", title: "Mask", icon: "mask", field: "mask", fits: (row) => Boolean(row), make: async (app) => (await import("../paint/paint.js")).maskTool(app, "layer") },
  { id: "weights", title: "Weights", icon: "fill", field: "weight_map", fits: (row) => Boolean(row), make: async (app) => (await import("../paint/paint.js")).weightTool(app) },
  { id: "startmask", title: "Repaint area", icon: "mask", fits: (row, draft) => Boolean(draft.start), make: async (app) => (await import("../paint/paint.js")).maskTool(app, "start") },
];

export class Tools {
  #app;
  #made = new Map();

  constructor(app) {
    this.#app = app;
    // A tool works on the layer that was open when it was taken.
    app.store.on(({ draft }) => [draft.open, Boolean(draft.start)], () => app.stage.tool && !this.#fitting(app.stage.tool.id) && this.drop());
  }

  /** The rows of the tools that fit the open layer. */
  get fitting() {
    return TOOLS.filter(({ id }) => this.#fitting(id));
  }

  /** Put a tool into the hand, or lay it down where it is there already. */
  async take(id) {
    if (this.#app.stage.tool?.id === id) {
      this.drop();
      return;
    }
    if (!this.#fitting(id)) return;
    const reason = this.refusal(id);
    if (reason) {
      this.#app.say(reason);
      return;
    }
    if (!this.#made.has(id)) this.#made.set(id, await TOOLS.find((row) => row.id === id).make(this.#app));
    const tool = this.#made.get(id);
    tool.id ??= id;
    this.#app.stage.take(tool);
    this.#app.stage.canvas.focus({ preventScroll: true });
  }

  /** Why the base refuses what a tool makes; "" where it takes it, or where the layer has it already and it may be removed. */
  refusal(id) {
    const { state } = this.#app.store;
    const { field } = TOOLS.find((row) => row.id === id);
    return field && !state.draft.layers.find((one) => one.id === state.draft.open)?.[field] ? refusalOf(state, field) : "";
  }

  /** Take the hand that moves the stage. */
  drop() {
    this.#app.stage.take(null);
  }

  #fitting(id) {
    const { draft, tables } = this.#app.store.state;
    const layer = draft.layers.find((one) => one.id === draft.open);
    const row = layer && tables.conditions.find((one) => one.id === layer.condition);
    return TOOLS.find((one) => one.id === id)?.fits(row, draft) ?? false;
  }
}

/** The buttons of the tools that fit. */
export function buildToolButtons(app) {
  const group = h("div", { class: "stage-tools", role: "group", "aria-label": "Tools" });
  app.store.on(
    ({ draft, tool, tables, choices }) => [draft.open, draft.layers, draft.start, tool, tables, choices],
    ([, , , tool]) =>
      group.replaceChildren(
        ...app.tools.fitting.map((row) => toolButton(app, row, tool === row.id)),
      ),
  );
  return group;
}

/** A tool whose mark the base refuses keeps the focus, and gives the reason where it is pressed. */
function toolButton(app, { id, title, icon: picture }, isHeld) {
  const reason = app.tools.refusal(id);
  const off = reason ? { title: reason, "aria-disabled": "true", "aria-description": reason } : {};
  const names = { "aria-pressed": String(isHeld), onclick: () => app.tools.take(id), id: `tool-${id}` };
  return h("button", { type: "button", ...names, ...off }, icon(picture), title);
}
