/** Curves as points [[place, factor], …] with rising places: read, written, evaluated and simplified. */

const MOST_DRAWN = 12; // points of a curve that was drawn by hand
export const MOST_POINTS = 32; // points of any curve
export const TOP = 2; // largest factor
const TOLERANCE = 0.02; // of a factor, below which a drawn line counts as straight
const NEAREST = 0.005; // distance of two places
const COLUMNS = 200; // places that a drawn line is read at

export const PRESETS = [
  { id: "constant", title: "Constant", points: [] },
  { id: "fade-out", title: "Fade out", points: [[0, 1], [1, 0]] },
  { id: "fade-in", title: "Fade in", points: [[0, 0], [1, 1]] },
  { id: "bump", title: "Bump", points: [[0, 0], [0.5, 1], [1, 0]] },
];

/** The factor at a place: straight lines between the points, constant outside them; 1 without points. */
export function valueAt(points, place) {
  if (!points.length) return 1;
  const after = points.findIndex(([where]) => where > place);
  if (after < 0) return points.at(-1)[1];
  if (after === 0) return points[0][1];
  const [[left, from], [right, to]] = [points[after - 1], points[after]];
  return from + ((to - from) * (place - left)) / (right - left);
}

/** At most `most` of the points, chosen as Ramer, Douglas and Peucker do: always the one that the lines so far miss most. */
export function simplify(points, most = MOST_DRAWN, tolerance = TOLERANCE) {
  if (points.length < 3) return points;
  const kept = [0, points.length - 1];
  while (kept.length < most) {
    const found = farthest(points, kept);
    if (found.distance <= tolerance) break;
    kept.splice(found.after, 0, found.index);
  }
  return kept.map((index) => points[index]);
}

/** The point with the largest distance from the line through its kept neighbours, and its place among the kept ones. */
function farthest(points, kept) {
  let best = { distance: 0, index: -1, after: -1 };
  for (let after = 1; after < kept.length; after++) {
    const ends = [points[kept[after - 1]], points[kept[after]]];
    for (let index = kept[after - 1] + 1; index < kept[after]; index++) {
      const distance = Math.abs(points[index][1] - valueAt(ends, points[index][0]));
      if (distance > best.distance) best = { distance, index, after };
    }
  }
  return best;
}

/** The curve after a line was drawn over a part of it; what lies outside the line stays. */
export function drawOver(points, trail, most = MOST_DRAWN) {
  const columns = new Map();
  trail.forEach(([place, factor], index) => {
    const [before, level] = trail[Math.max(0, index - 1)];
    const [from, to] = [before, place].map((one) => Math.round(one * COLUMNS));
    const count = Math.max(1, Math.abs(to - from));
    for (let step = 0; step <= count; step++) {
      columns.set(Math.round(from + ((to - from) * step) / count), level + ((factor - level) * step) / count);
    }
  });
  const drawn = [...columns].map(([column, factor]) => [column / COLUMNS, factor]).sort(([one], [other]) => one - other);
  const [first, last] = [drawn[0][0] - NEAREST, drawn.at(-1)[0] + NEAREST];
  const around = [points.filter(([place]) => place < first), points.filter(([place]) => place > last)];
  return simplify([...around[0], ...drawn, ...around[1]], most).map(rounded);
}

/** The curve with one more point. A level curve gets its two ends as well, so that the rest of it stays where it is. */
export function addPoint(points, point) {
  const all = points.length ? points : [[0, 1], [1, 1]];
  const [place, factor] = rounded(point);
  const others = all.filter(([where]) => Math.abs(where - place) >= NEAREST);
  return [...others, [place, factor]].sort(([one], [other]) => one - other);
}

/** The curve with a point moved, as far as its neighbours let it. */
export function movePoint(points, index, [place, factor]) {
  const lowest = index ? points[index - 1][0] + NEAREST : 0;
  const highest = index < points.length - 1 ? points[index + 1][0] - NEAREST : 1;
  const moved = rounded([clamp(place, lowest, highest), clamp(factor, 0, TOP)]);
  return points.map((point, number) => (number === index ? moved : point));
}

/** Read "0:1 0.5:0.2"; an Error with a sentence for what is no curve. */
export function parsePoints(text) {
  const parts = text.trim().split(/[\s,;]+/).filter(Boolean);
  if (parts.length > MOST_POINTS) throw new Error(`The curve has ${parts.length} points, but at most ${MOST_POINTS} are possible.`);
  const points = parts.map(parsePoint);
  const wrong = points.findIndex(([place], index) => index && place <= points[index - 1][0]);
  if (wrong > 0) throw new Error(`${parts[wrong]} comes after ${parts[wrong - 1]}, but the first numbers must rise.`);
  return points;
}

function parsePoint(text) {
  const [place, factor, ...more] = text.split(":").map((part) => (part ? Number(part) : NaN));
  if (more.length || !Number.isFinite(place) || !Number.isFinite(factor)) {
    throw new Error(`“${text}” is no point; write place:factor, such as 0.5:0.2.`);
  }
  if (place < 0 || place > 1) throw new Error(`The place in “${text}” must be from 0 to 1.`);
  if (factor < 0 || factor > TOP) throw new Error(`The factor in “${text}” must be from 0 to ${TOP}.`);
  return [place, factor];
}

/** Write a curve as parsePoints reads it. */
export function writePoints(points) {
  return points.map((point) => point.join(":")).join(" ");
}

/** The first and the last step, counted from 1, that lie wholly between two fractions of all steps; null where none does. */
export function stepsWithin(begin, end, steps) {
  const all = Array.from({ length: steps }, (_, step) => step).filter((step) => step / steps >= begin && (step + 1) / steps <= end);
  return all.length ? { first: all[0] + 1, last: all.at(-1) + 1 } : null;
}

export function clamp(value, lowest, highest) {
  return Math.min(Math.max(value, lowest), highest);
}

function rounded([place, factor]) {
  return [Number(place.toFixed(3)), Number(factor.toFixed(2))];
}
