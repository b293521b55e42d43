/** Settings of the open layer: what makes its map, and how it steers. */

import { h } from "../core/dom.js";
import { LayerScope } from "./layer_scope.js";
import { buildSource } from "./layer_source.js";
import { buildSteering } from "./layer_steering.js";

/** Build the form of a layer: {element, end}; `opened` is a set of the names of its unfolded parts, kept between forms. */
export function buildLayerForm(app, id, opened) {
  const scope = new LayerScope(app, id);
  const element = h("div", { class: "layer-form" }, buildSource(scope), h("hr"), buildSteering(scope, opened));
  return { element, end: () => scope.end() };
}
