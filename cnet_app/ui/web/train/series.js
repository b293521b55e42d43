/** The records of a run as the page keeps them: steps and looks at the probes, each once, and never too many. */

const MOST = 2000; // steps; beyond it two neighbours become one
const RECENT = 20; // steps of which the pace is taken

export class Series {
  steps = []; // {step, loss, learning_rate, seconds, memory_mb}
  looks = []; // {step, score, scores, pictures}
  #time = 0; // of the last step, seconds since 1970
  #ofLook = 0; // seconds that the last look took

  /** Take records in their order; of a resumed run the later ones count. */
  add(records) {
    for (const { kind, step, time, values } of records) {
      if (kind === "step") {
        if (this.steps.length && step <= this.steps.at(-1).step) this.#goBack(step);
        this.steps.push({ step, ...values });
        this.#time = time;
      }
      if (kind !== "probe") continue;
      if (step && step === this.steps.at(-1)?.step) this.#ofLook = time - this.#time;
      this.looks = [...this.looks.filter((look) => look.step < step), { step, ...values }];
    }
    if (this.steps.length > MOST) this.steps = halved(this.steps);
  }

  /** Seconds of a step, by the last ones; null before the first. */
  get pace() {
    const recent = this.steps.slice(-RECENT);
    return recent.length ? recent.reduce((sum, { seconds }) => sum + seconds, 0) / recent.length : null;
  }

  /** Seconds that so many more steps take, with a look at the probes every so many; null before the first step. */
  secondsOf(count, probeEvery) {
    const looks = probeEvery ? Math.ceil(count / probeEvery) : 0;
    return this.pace === null ? null : count * this.pace + looks * this.#ofLook;
  }

  /** A value of the steps as points. */
  points(name) {
    return this.steps.map((row) => ({ x: row.step, y: row[name] }));
  }

  /** The mean scores as points. */
  scores() {
    return this.looks.filter(({ score }) => score !== null).map(({ step, score }) => ({ x: step, y: score }));
  }

  #goBack(step) {
    this.steps = this.steps.filter((row) => row.step < step);
    this.looks = this.looks.filter((look) => look.step < step);
  }
}

function halved(steps) {
  const pairs = steps.filter((row, index) => index % 2).map((row, index) => [steps[2 * index], row]);
  return pairs.map(([one, other]) => ({ ...other, loss: (one.loss + other.loss) / 2, seconds: (one.seconds + other.seconds) / 2 }));
}

/** Points whose values are averaged with those before, the more the longer the curve is. */
export function smoothed(points) {
  const keep = 1 - 2 / (Math.min(50, points.length / 5) + 1);
  if (keep <= 0) return points;
  let [sum, weight] = [0, 0];
  return points.map(({ x, y }) => {
    sum = keep * sum + (1 - keep) * y;
    weight = keep * weight + (1 - keep);
    return { x, y: sum / weight };
  });
}
