/** How long pictures take, by the job that was done last. */

/** Size, steps and seconds of one picture of a job that is done; null for any other. */
export function paceOf(job) {
  if (job?.status !== "done" || !job.seconds || !job.pictures.length || !job.width) return null;
  return { width: job.width, height: job.height, steps: job.steps, seconds: job.seconds / job.pictures.length };
}

/** Seconds that one picture of the draft takes; null where no job of its size was done yet. */
export function secondsOfPicture({ pace, frame, draft, choices }) {
  if (!pace || !frame || pace.width !== frame.width || pace.height !== frame.height) return null;
  const steps = draft.settings.num_inference_steps ?? choices.base.defaults.num_inference_steps;
  return pace.seconds * (pace.steps ? steps / pace.steps : 1);
}
