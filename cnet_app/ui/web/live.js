/** Controls that follow the state: built again when their value changes from elsewhere, such as by undo. */

import { fill, h } from "./dom.js";
import { field } from "./fields.js";

/**
 * A field of a declared value. `read(state)` is {value, disabled, reason}; `write(value)` changes it. While the field itself
 * changes the value it is left as it is.
 */
export function liveField(app, name, declared, read, write, label) {
  const host = h("div", { class: "live-field" });
  let own; // what the field itself has written last
  const show = () => {
    const { value, disabled = false, reason = "" } = read(app.store.state);
    if (value === own && !disabled) return;
    own = undefined;
    const element = field(name, declared, value, (next) => write((own = next)), { label, disabled, reason });
    fill(host, element);
    host.title = disabled ? reason : "";
  };
  app.store.on((state) => Object.values(read(state)), show);
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
