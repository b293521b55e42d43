/** What grids and batches send of the draft, and how long they take. */

import { duration } from "../core/dom.js";
import { secondsOfPicture } from "../core/pace.js";

/** The draft as calls take it. */
export function draftForCall(app) {
  const { draft, frame } = app.store.state;
  return { ...draft, stash: null, frame };
}

/** Words for the time of as much work as so many pictures of the draft. */
export function timeOf(app, pictures) {
  const seconds = secondsOfPicture(app.store.state);
  return seconds === null ? "the time shows after the first" : `about ${duration(seconds * pictures)}`;
}
