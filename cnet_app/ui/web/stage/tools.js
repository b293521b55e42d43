/** The tools of the stage: which fit the open layer, and the one in the hand. */

import { h, icon } from "../core/dom.js";

/** Kinds of maps that are drawn by hand. */
const DRAWN = ["lines", "soft_lines"];

/** A row a tool: whether it fits a layer of a condition, and the module that makes it, loaded when it is first taken. */
const TOOLS = [
  { id: "draw", title: "Draw", icon: "brush", fits: (row) => row && (row.canvas || DRAWN.includes(row.kind)), make: async (app) => (await import("../paint/paint.js")).drawTool(app) },
  { id: "pose", title: "Pose", icon: "pose", fits: (row) => row?.data === "pose", make: async (app) => (await import("../pose/pose.js")).poseTool(app) },
  { id: "classes", title: "Classes", icon: "classes", fits: (row) => row?.data === "classes", make: async (app) => (await import("../paint/paint.js")).classTool(app) },
  { id: "mask", title: "Mask", icon: "mask", fits: (row) => Boolean(row), make: async (app) => (await import("../paint/paint.js")).maskTool(app, "layer") },
  { id: "weights", title: "Weights", icon: "fill", fits: (row) => Boolean(row), make: async (app) => (await import("../paint/paint.js")).weightTool(app) },
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
    if (!this.#made.has(id)) this.#made.set(id, await TOOLS.find((row) => row.id === id).make(this.#app));
    const tool = this.#made.get(id);
    tool.id ??= id;
    this.#app.stage.take(tool);
    this.#app.stage.canvas.focus({ preventScroll: true });
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
    ({ draft, tool, tables }) => [draft.open, draft.layers, draft.start, tool, tables],
    ([, , , tool]) =>
      group.replaceChildren(
        ...app.tools.fitting.map((row) =>
          h(
            "button",
            { type: "button", "aria-pressed": String(tool === row.id), onclick: () => app.tools.take(row.id), id: `tool-${row.id}` },
            icon(row.icon),
            row.title,
          ),
        ),
      ),
  );
  return group;
}
