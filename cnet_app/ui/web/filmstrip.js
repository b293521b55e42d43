/** The pictures of this browser, newest first, below the stage. */

import { h, keyed } from "./dom.js";

export function buildFilmstrip(app) {
  const strip = h("ol", { class: "filmstrip", "aria-label": "Pictures" });
  app.store.on(
    ({ pictures }) => pictures,
    (pictures) => keyed(strip, pictures, ({ path }) => path, (picture) => h("li", {}, h("img", { src: picture.url, alt: picture.prompt }))),
  );
  return strip;
}
