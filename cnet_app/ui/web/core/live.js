/** Controls that follow the state: also where it is changed from elsewhere, such as by undo. */

import { fill, h } from "./dom.js";
import { field } from "../layers/fields.js";

/**
 * A field of a declared value that follows the state. `read(state)` is {value, disabled, reason}; `write(value)` changes it.
 * It is built again only where it becomes disabled or able.
 */
export function liveField(app, name, declared, read, write, label) {
  const host = h("div", { class: "live-field" });
  let element;
  app.store.on(
    (state) => [read(state).reason],
    () => {
      const { value, disabled = false, reason = "" } = read(app.store.state);
      element = field(name, declared, value, write, { label, disabled });
      host.title = disabled ? reason : "";
      fill(host, element);
    },
  );
  app.store.on(
    (state) => read(state).value,
    (value) => element.show(value),
  );
  return host;
}

/** A picture that was kept, small; its address is released when it is shown no longer. */
export function thumbnail(app, held, alt) {
  const image = h("img", { class: "thumbnail", alt });
  app.blobs.get(held.key).then((blob) => {
    if (!blob) return;
    image.src = URL.createObjectURL(blob);
    image.onload = () => URL.revokeObjectURL(image.src);
  });
  return image;
}
