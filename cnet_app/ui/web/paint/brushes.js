/** The geometry of strokes. A place is {x, y, r}: a point with the brush's radius there; a part of a stroke joins two places. */

const SHORTEST = 0.2; // of the radius: points that are closer wait for the next one
const STEP = 4; // px of a curve that are drawn as one part
const LEAST_PRESSURE = 0.15; // of the size that a pen draws when it just touches

/** The radius of a brush of `size` px under a pressure from 0 to 1. */
export function radiusOf(size, pressure = 1) {
  return (size / 2) * (LEAST_PRESSURE + (1 - LEAST_PRESSURE) * pressure);
}

/** Makes smooth curves of points as they come: each call answers with the parts that are new. */
export class Curve {
  #middle = null; // where the curve ends so far
  #last = null; // the curve turns towards it
  #newest = null; // too close to it to be of use yet

  /** Take a point; the first is a dot. */
  add(place) {
    if (!this.#last) {
      this.#middle = this.#last = this.#newest = place;
      return [[place, place]];
    }
    this.#newest = place;
    if (Math.hypot(place.x - this.#last.x, place.y - this.#last.y) < Math.max(0.5, SHORTEST * place.r)) return [];
    const middle = between(this.#last, place, 0.5);
    const parts = curveParts(this.#middle, this.#last, middle);
    this.#middle = middle;
    this.#last = place;
    return parts;
  }

  /** The part from the curve to its newest point, which end adds and which is shown until then. */
  get tail() {
    const places = [this.#middle, this.#last, this.#newest];
    const parts = places.slice(1).map((place, index) => [places[index], place]);
    return parts.filter(([from, to]) => from && (from.x !== to.x || from.y !== to.y));
  }
}

/** A quadratic curve as parts of a few pixels. */
function curveParts(from, towards, to) {
  const length = Math.hypot(towards.x - from.x, towards.y - from.y) + Math.hypot(to.x - towards.x, to.y - towards.y);
  const count = Math.max(1, Math.ceil(length / Math.max(STEP, to.r / 4)));
  const parts = [];
  let before = from;
  for (let index = 1; index <= count; index += 1) {
    const share = index / count;
    const place = between(between(from, towards, share), between(towards, to, share), share);
    parts.push([before, place]);
    before = place;
  }
  return parts;
}

export function between(from, to, share) {
  const mix = (name) => from[name] + (to[name] - from[name]) * share;
  return { x: mix("x"), y: mix("y"), r: mix("r") };
}

/** Add a part's outline to a path: the hull of the discs at its ends. */
export function tracePart(path, [from, to]) {
  const apart = Math.hypot(to.x - from.x, to.y - from.y);
  if (apart <= Math.abs(from.r - to.r)) {
    const { x, y, r } = from.r > to.r ? from : to;
    path.moveTo(x + r, y);
    path.arc(x, y, r, 0, 2 * Math.PI);
    return;
  }
  const direction = Math.atan2(to.y - from.y, to.x - from.x);
  const lean = Math.acos((from.r - to.r) / apart);
  path.moveTo(from.x + from.r * Math.cos(direction + lean), from.y + from.r * Math.sin(direction + lean));
  path.arc(from.x, from.y, from.r, direction + lean, direction - lean + 2 * Math.PI);
  path.arc(to.x, to.y, to.r, direction - lean, direction + lean);
  path.closePath();
}

/** The whole pixels that some parts can change, inside of width × height: {x, y, width, height}. */
export function boundsOf(parts, width, height) {
  const places = parts.flat();
  const low = (name, most) => Math.min(Math.max(Math.floor(Math.min(...places.map((place) => place[name] - place.r))) - 1, 0), most);
  const high = (name, most) => Math.min(Math.max(Math.ceil(Math.max(...places.map((place) => place[name] + place.r))) + 1, 0), most);
  const [x, y] = [low("x", width), low("y", height)];
  return { x, y, width: high("x", width) - x, height: high("y", height) - y };
}

/** Call visit(y, left, right) for the pixels, both ends included, whose middles lie in a part. */
export function visitPart([from, to], width, height, visit) {
  const quad = sidesOf(from, to);
  const box = boundsOf([[from, to]], width, height);
  for (let y = box.y; y < box.y + box.height; y += 1) {
    const crossings = quad ? crossingsOf(quad, y + 0.5) : [];
    for (const { x, y: middle, r } of [from, to]) {
      const half = Math.sqrt(r * r - (y + 0.5 - middle) ** 2);
      if (half >= 0) crossings.push(x - half, x + half);
    }
    if (crossings.length) visitRow(y, Math.min(...crossings), Math.max(...crossings), width, visit);
  }
}

/** The four corners of what lies between two discs; null where one disc holds the other. */
function sidesOf(from, to) {
  const apart = Math.hypot(to.x - from.x, to.y - from.y);
  if (apart <= Math.abs(from.r - to.r)) return null;
  const direction = Math.atan2(to.y - from.y, to.x - from.x);
  const lean = Math.acos((from.r - to.r) / apart);
  const corner = ({ x, y, r }, angle) => ({ x: x + r * Math.cos(angle), y: y + r * Math.sin(angle) });
  return [corner(from, direction + lean), corner(from, direction - lean), corner(to, direction - lean), corner(to, direction + lean)];
}

/** Call visit(y, left, right) for the pixels whose middles lie in a polygon (even-odd). */
export function visitPolygon(points, width, height, visit) {
  const tops = points.map(({ y }) => y);
  const first = Math.max(0, Math.floor(Math.min(...tops)));
  const last = Math.min(height - 1, Math.ceil(Math.max(...tops)));
  for (let y = first; y <= last; y += 1) {
    const crossings = crossingsOf(points, y + 0.5).sort((one, other) => one - other);
    for (let index = 0; index + 1 < crossings.length; index += 2) visitRow(y, crossings[index], crossings[index + 1], width, visit);
  }
}

/** Where a polygon's sides cross the level line at `y`. */
function crossingsOf(points, y) {
  const crossings = [];
  points.forEach((from, index) => {
    const to = points[(index + 1) % points.length];
    if (from.y <= y !== to.y <= y) crossings.push(from.x + ((y - from.y) / (to.y - from.y)) * (to.x - from.x));
  });
  return crossings;
}

function visitRow(y, left, right, width, visit) {
  const first = Math.max(0, Math.ceil(left - 0.5));
  const last = Math.min(width - 1, Math.floor(right - 0.5));
  if (first <= last) visit(y, first, last);
}

/** Corners of the rectangle between two points. */
export function rectangleOf(one, other) {
  return [one, { x: other.x, y: one.y }, other, { x: one.x, y: other.y }];
}
