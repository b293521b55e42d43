/** Keys of the whole page. */

export function listenForKeys(app) {}
