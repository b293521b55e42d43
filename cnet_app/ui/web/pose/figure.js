/** People, hands and faces from nothing, and the probable place of a joint that is missing. */

import { boxOf, foundPoints, isFound, missing, NECK, NOSE, PARTS, rounded } from "./people.js";

/** A standing figure that looks at the viewer: its height is 1, x 0 is its middle, its own right is at the left. */
const RIGHT_SIDE = { 2: [-0.115, 0.185], 3: [-0.15, 0.345], 4: [-0.17, 0.49], 8: [-0.068, 0.5], 9: [-0.074, 0.73], 10: [-0.078, 0.95], 14: [-0.018, 0.066], 16: [-0.042, 0.078] };
const LEFT_OF = { 2: 5, 3: 6, 4: 7, 8: 11, 9: 12, 10: 13, 14: 15, 16: 17 };
const STANDING = standing();

/** A hand along its forearm: from the wrist (0, 0) to the tip of the middle finger (1, 0), the thumb at positive y. */
const HAND = [
  [0, 0],
  [0.13, 0.13], [0.28, 0.24], [0.4, 0.31], [0.52, 0.36],
  [0.48, 0.15], [0.68, 0.17], [0.8, 0.18], [0.91, 0.185],
  [0.5, 0.04], [0.73, 0.045], [0.88, 0.045], [1, 0.045],
  [0.48, -0.06], [0.68, -0.075], [0.82, -0.085], [0.93, -0.09],
  [0.43, -0.15], [0.58, -0.185], [0.68, -0.2], [0.77, -0.215],
]; // prettier-ignore
const HAND_OF_FOREARM = 0.73; // length of a hand in lengths of its forearm
const FOREARM_OF_FIGURE = 0.147;

/** A face: the eyes are at (-0.5, 0) and (0.5, 0), its own right at the left. */
const FACE = face();
/** Where the body's points of the head are in it. */
const HEAD = { 0: [0, 0.56], 14: [-0.5, 0], 15: [0.5, 0], 16: [-1.15, 0.3], 17: [1.15, 0.3] };
const EYES_OF_FIGURE = 0.036; // distance of the eyes in heights of the figure
const HEIGHT_OF_FRAME = 0.84;
const HALF_WIDTH = 0.21; // of a figure with hands, in heights of the figure
const FREE_PLACES = [0.5, 0.75, 0.25, 0.875, 0.125, 0.625, 0.375]; // of the frame's width

function standing() {
  const points = missing(18).map(() => [0, 0]);
  points[NOSE] = [0, 0.087];
  points[NECK] = [0, 0.18];
  for (const [index, [x, y]] of Object.entries(RIGHT_SIDE)) {
    points[index] = [x, y];
    points[LEFT_OF[index]] = [-x, y];
  }
  return points;
}

function face() {
  const jaw = Array.from({ length: 17 }, (_, index) => [-1.12 * Math.cos((Math.PI * index) / 16), 0.05 + 1.7 * Math.sin((Math.PI * index) / 16)]);
  const brow = Array.from({ length: 5 }, (_, index) => [-0.95 + 0.18 * index, -0.32 - 0.14 * Math.sin((Math.PI * (index + 1)) / 6)]);
  const bridge = [0, 0.18, 0.36, 0.54].map((y) => [0, y]);
  const nostrils = [[-0.28, 0.68], [-0.14, 0.73], [0, 0.76]];
  const eye = [[-0.72, 0.02], [-0.58, -0.09], [-0.42, -0.09], [-0.28, 0.03], [-0.42, 0.08], [-0.58, 0.08]];
  const above = [[-0.5, 1.12], [-0.33, 1.05], [-0.13, 1.02], [0, 1.04]];
  const below = [[0.33, 1.22], [0.15, 1.28], [0, 1.29]];
  const inside = [[-0.42, 1.12], [-0.14, 1.1], [0, 1.11]];
  return [
    ...jaw,
    ...brow, ...mirror(brow),
    ...bridge, ...nostrils, ...mirror(nostrils.slice(0, 2)),
    ...eye, ...[3, 2, 1, 0, 5, 4].map((index) => [-eye[index][0], eye[index][1]]),
    ...above, ...mirror(above.slice(0, 3)), ...below, ...mirror(below.slice(0, 2)),
    ...inside, ...mirror(inside.slice(0, 2)), [0.14, 1.17], [0, 1.18], [-0.14, 1.17],
    [-0.5, 0], [0.5, 0],
  ]; // prettier-ignore
}

function mirror(points) {
  return [...points].reverse().map(([x, y]) => [-x, y]);
}

/** A person that stands in the frame where there is most room. */
export function newPerson(people, { width, height }) {
  const size = Math.min(HEIGHT_OF_FRAME * height, 2 * width);
  const taken = people.map((person) => boxOf(foundPoints(person))?.x).filter((x) => x !== undefined);
  const room = (x) => Math.min(width, ...taken.map((other) => Math.abs(other - x)));
  const side = Math.min(HALF_WIDTH * size, width / 2);
  const places = FREE_PLACES.map((place) => Math.min(Math.max(place * width, side), width - side));
  const middle = places.reduce((best, x) => (room(x) > room(best) + 1 ? x : best));
  const top = (height - size) / 2;
  const body = STANDING.map(([x, y]) => [...rounded([middle + x * size, top + y * size]), 1]);
  return { body, rightHand: null, leftHand: null, face: null, isHidden: false };
}

/** A plausible hand, "rightHand" or "leftHand", at the end of its forearm; at the person's middle where there is no wrist. */
export function newHand(person, part, frame) {
  const { wrist, elbow } = PARTS.find(({ id }) => id === part);
  const [hand, arm] = [person.body[wrist], person.body[elbow]];
  const start = isFound(hand) ? hand : middleOf(person, frame);
  const [dx, dy] = isFound(hand) && isFound(arm) ? [hand[0] - arm[0], hand[1] - arm[1]] : [0, FOREARM_OF_FIGURE * heightOf(person, frame)];
  const side = part === "rightHand" ? 1 : -1;
  return HAND.map(([along, across]) => {
    const [u, v] = [along * HAND_OF_FOREARM, across * side * HAND_OF_FOREARM];
    return [...rounded([start[0] + u * dx + v * dy, start[1] + u * dy - v * dx]), 1];
  });
}

/** A plausible face around nose, eyes and ears. */
export function newFace(person, frame) {
  const known = Object.keys(HEAD).filter((index) => isFound(person.body[index]));
  const pairs = known.map((index) => [HEAD[index], person.body[index]]);
  const place = pairs.length > 1 ? similarity(pairs) : null;
  if (place) return FACE.map((point) => [...rounded(place(point)), 1]);
  const size = EYES_OF_FIGURE * heightOf(person, frame);
  const [from, to] = pairs[0] ?? [[0, 0], middleOf(person, frame)];
  return FACE.map(([x, y]) => [...rounded([to[0] + (x - from[0]) * size, to[1] + (y - from[1]) * size]), 1]);
}

/**
 * The place where a missing point belongs: as on the figure, hand or face of good proportions that fits the points which are
 * there, from the nearest of its neighbours along the `bones`.
 */
export function placeOf(person, part, index, bones, frame) {
  const pattern = part === "body" ? STANDING : part === "face" ? FACE : HAND;
  const there = person[part].map((point, place) => [place, point]).filter(([place, point]) => isFound(point) && pattern[place]);
  const fit = there.length > 1 ? similarity(there.map(([place, point]) => [pattern[place], point])) : null;
  const size = part === "body" ? heightOf(person, frame) : FOREARM_OF_FIGURE * heightOf(person, frame);
  const place = fit ?? (([x, y]) => [x * size, y * size]);
  if (!there.length) return rounded(middleOf(person, frame));
  const anchor = nearest(bones, index, new Set(there.map(([known]) => known))) ?? there[0][0];
  const [fromX, fromY] = place(pattern[anchor]);
  const [toX, toY] = place(pattern[index]);
  return rounded([person[part][anchor][0] + toX - fromX, person[part][anchor][1] + toY - fromY]);
}

/** The known point that the fewest bones away from another. */
function nearest(bones, index, known) {
  const seen = new Set([index]);
  for (let edge = [index]; edge.length; ) {
    const found = edge.find((one) => known.has(one));
    if (found !== undefined) return found;
    edge = bones.filter((bone) => bone.some((one) => edge.includes(one))).flat().filter((one) => !seen.has(one));
    edge.forEach((one) => seen.add(one));
  }
  return undefined;
}

/**
 * The turn, scale and shift, with a mirror where that fits better, that bring points nearest to others: `pairs` of
 * [pattern, point]. Returns a function of a pattern's point; null where all points of the pattern are one.
 */
function similarity(pairs) {
  const [straight, mirrored] = [leastSquares(pairs, 1), leastSquares(pairs, -1)];
  if (!straight) return null;
  return mirrored.error < straight.error - 1e-6 * (1 + straight.error) ? mirrored.place : straight.place;
}

function leastSquares(pairs, side) {
  const mean = (read) => pairs.reduce((sum, pair) => sum + read(pair), 0) / pairs.length;
  const from = [mean(([p]) => p[0] * side), mean(([p]) => p[1])];
  const to = [mean(([, q]) => q[0]), mean(([, q]) => q[1])];
  let [across, down, size] = [0, 0, 0];
  for (const [p, q] of pairs) {
    const [px, py, qx, qy] = [p[0] * side - from[0], p[1] - from[1], q[0] - to[0], q[1] - to[1]];
    across += px * qx + py * qy;
    down += px * qy - py * qx;
    size += px * px + py * py;
  }
  if (size < 1e-12) return null;
  const place = ([x, y]) => {
    const [px, py] = [x * side - from[0], y - from[1]];
    return [to[0] + (px * across - py * down) / size, to[1] + (px * down + py * across) / size];
  };
  const error = pairs.reduce((sum, [p, q]) => sum + Math.hypot(place(p)[0] - q[0], place(p)[1] - q[1]) ** 2, 0);
  return { place, error };
}

function middleOf(person, { width, height }) {
  const { x, y } = boxOf(foundPoints(person)) ?? { x: width / 2, y: height / 2 };
  return [x, y];
}

/** The height that the person would have standing, in px. */
function heightOf(person, { width, height }) {
  const there = person.body.map((point, index) => [STANDING[index], point]).filter(([, point]) => isFound(point));
  const place = there.length > 1 ? similarity(there) : null;
  if (!place) return Math.min(HEIGHT_OF_FRAME * height, 2 * width);
  const [top, bottom] = [place([0, 0]), place([0, 1])];
  return Math.hypot(bottom[0] - top[0], bottom[1] - top[1]);
}
