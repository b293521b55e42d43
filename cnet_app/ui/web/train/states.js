/** How a run stands, in words. */

import { duration } from "../core/dom.js";

const STANDINGS = {
  new: "Not begun",
  preparing: "Preparing",
  running: "Training",
  waiting: "Waiting",
  paused: "Paused",
  stopped: "Stopped",
  done: "Done",
  failed: "Failed",
  interrupted: "Interrupted",
};
const WISHES = { pause: "Pauses after this step", stop: "Stops after this step" };

/** A few words for the list. */
export function shortState({ standing, step, steps }) {
  return step ? `${STANDINGS[standing]}, ${step} of ${steps}` : STANDINGS[standing];
}

/** One line: what the run does, how far it is, what comes next; `seconds` are those that are left, null where unknown. */
export function longState({ standing, step, steps, message, wish, checkpoint }, seconds) {
  if (wish) return `${WISHES[wish]} (step ${step} of ${steps}).`;
  const at = step ? ` at step ${step} of ${steps}` : "";
  const from = checkpoint ? `goes on from step ${checkpoint}` : "begins at the first step";
  const because = message ? ` ${message}` : "";
  switch (standing) {
    case "running":
      return `Step ${step} of ${steps}${seconds === null ? "" : `, about ${duration(seconds)} left`}.`;
    case "preparing":
      return because.trim() || "Preparing.";
    case "waiting":
      return `Waiting${at}: a picture is made first.`;
    case "paused":
    case "stopped":
      return `${STANDINGS[standing]}${at}; Resume ${from}.`;
    case "interrupted":
      return `Interrupted${at}: its process ended.${because} Resume ${from}.`;
    case "failed":
      return `Failed${at}.${because} Resume ${from}.`;
    case "new":
      return because ? `It did not begin.${because}` : "It did not begin; Resume begins it.";
    default:
      return `Done: ${step} steps.`;
  }
}

/** Whether the control is followed yet; an empty text where nobody has looked. */
export function convergenceWords({ converged, score, standing }) {
  if (converged) return `Sudden convergence at step ${converged.at}: agreement rose from ${converged.before.toFixed(2)} to ${converged.score.toFixed(2)}.`;
  if (score === null || standing === "new") return "";
  return "No sudden convergence yet. The paper saw it usually before 10,000 steps.";
}

export const OVERFITS =
  "Agreement with the probes has fallen clearly below its best while the loss goes on falling: the network learns these pairs by heart. An earlier checkpoint is better: “Use the best checkpoint” takes the best that is kept. More pairs, or flips and crops, help.";
