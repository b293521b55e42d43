/** The map that a layer's preprocessor detects, also where the layer itself is drawn. */

import { bitmapOf } from "../core/maps.js";
import { Refusal } from "../core/server.js";

/** The detected map of the open layer, decoded; null where files have to be downloaded first, which is asked. */
export async function detectMap(app) {
  const { draft, frame } = app.store.state;
  const layer = draft.layers.find(({ id }) => id === draft.open);
  const { source, picture } = sourceOf(layer, draft);
  const { condition, annotator, parameters } = layer;
  const order = { layer: { condition, source, annotator, parameters, repairs: [], picture }, photo: draft.photo, frame };
  const made = await app.blobs.call("map", order);
  if (!made.missing) return bitmapOf(made.image);
  app.askDownload(made.missing, () => app.maps.remake(layer.id));
  return null;
}

/** A layer that is drawn has forgotten what it was made from: its own photo, else that of all layers. */
function sourceOf({ source, picture }, { photo }) {
  if (picture && (source === "own" || !photo)) return { source: "own", picture };
  if (photo) return { source: "photo", picture: null };
  throw new Refusal("There is no photo to detect a map in; drop, paste or choose one.");
}
