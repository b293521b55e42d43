/**
 * People and their joints: pure functions from values to values.
 *
 * A point is [x, y, score] in pixels of the frame; score 0 means that it is missing. A person is {body, rightHand, leftHand,
 * face, isHidden}: 18, 21, 21 and 70 (or 68) points in OpenPose's order; a hand or face that is not there is null.
 */

/** OpenPose's COCO-18 body. Right and left are the person's own. */
const JOINTS = [
  "nose",
  "neck",
  "right shoulder",
  "right elbow",
  "right wrist",
  "left shoulder",
  "left elbow",
  "left wrist",
  "right hip",
  "right knee",
  "right ankle",
  "left hip",
  "left knee",
  "left ankle",
  "right eye",
  "left eye",
  "right ear",
  "left ear",
];

/** The parts of a person, by field: their key in OpenPose's JSON, and how many points they have. */
export const PARTS = [
  { id: "body", title: "Body", key: "pose_keypoints_2d", count: 18 },
  { id: "rightHand", title: "Right hand", key: "hand_right_keypoints_2d", count: 21, wrist: 4, elbow: 3 },
  { id: "leftHand", title: "Left hand", key: "hand_left_keypoints_2d", count: 21, wrist: 7, elbow: 6 },
  { id: "face", title: "Face", key: "face_keypoints_2d", count: 70 },
];

export const NOSE = 0;
export const NECK = 1;
export const MOST_PEOPLE = 100; // as many as the server draws
const FINGERS = ["thumb", "index finger", "middle finger", "ring finger", "little finger"];
const FACE_REGIONS = [
  ["jaw", 17],
  ["right eyebrow", 5],
  ["left eyebrow", 5],
  ["bridge of the nose", 4],
  ["tip of the nose", 5],
  ["right eye", 6],
  ["left eye", 6],
  ["outer lips", 12],
  ["inner lips", 8],
  ["right pupil", 1],
  ["left pupil", 1],
];
const MIRRORED_BODY = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16];
const MIRRORED_PARTS = { body: "body", rightHand: "leftHand", leftHand: "rightHand", face: "face" };
/** Places of a mirrored face: within each range [first, last] the order is reversed, or the two ranges swap so. */
const MIRRORED_FACE = [[0, 16], [17, 26], [27, 27], [28, 28], [29, 29], [30, 30], [31, 35], [48, 54], [55, 59], [60, 64], [65, 67], [68, 69]];
const MIRRORED_EYES = { 36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46, 42: 39, 43: 38, 44: 37, 45: 36, 46: 41, 47: 40 };

/** The name of a point, such as "right elbow" or "index finger, joint 2". */
export function nameOf(part, index) {
  if (part === "body") return JOINTS[index];
  if (part === "face") return faceName(index);
  return index === 0 ? "wrist" : `${FINGERS[Math.floor((index - 1) / 4)]}, joint ${((index - 1) % 4) + 1}`;
}

function faceName(index) {
  let first = 0;
  for (const [name, count] of FACE_REGIONS) {
    if (index < first + count) return count === 1 ? name : `${name}, point ${index - first + 1}`;
    first += count;
  }
  return `face, point ${index + 1}`;
}

/** The people of a pose as OpenPose's JSON has it, {people, canvas_width, canvas_height}, moved as its picture is brought to the frame. */
export function peopleOf(pose, frame) {
  const move = fitting(pose, frame);
  const people = pose.people.map((entry) => personOf(entry, move));
  for (const { place, person } of pose.hidden_people ?? []) people.splice(place, 0, { ...personOf(person, move), isHidden: true });
  return people;
}

/**
 * People as OpenPose's JSON. Those that are hidden are in a list of their own, which other tools do not read; "coordinates"
 * says that these are pixels.
 */
export function poseOf(people, { width, height }) {
  const hidden = people.map((person, place) => ({ place, person })).filter(({ person }) => person.isHidden);
  return {
    people: people.filter((person) => !person.isHidden).map(entryOf),
    canvas_height: height,
    canvas_width: width,
    coordinates: "pixels",
    ...(hidden.length ? { hidden_people: hidden.map(({ place, person }) => ({ place, person: entryOf(person) })) } : {}),
  };
}

function personOf(entry, move) {
  const parts = PARTS.map(({ id, key }) => [id, pointsOf(entry[key], move)]);
  const person = Object.fromEntries(parts);
  return { ...person, body: person.body ?? missing(18), isHidden: false };
}

function pointsOf(numbers, move) {
  if (!numbers?.length) return null;
  return Array.from({ length: numbers.length / 3 }, (_, index) => {
    const [x, y, score] = numbers.slice(3 * index, 3 * index + 3);
    return score > 0 ? [...move(x, y), score] : [x, y, score];
  });
}

function entryOf(person) {
  return Object.fromEntries(PARTS.map(({ id, key }) => [key, (person[id] ?? []).flat()]));
}

/** As annotators.people.poses.Pose.resized does it. */
function fitting({ canvas_width, canvas_height }, { width, height, fit = "crop" }) {
  let across = width / canvas_width;
  let down = height / canvas_height;
  if (fit !== "stretch") across = down = (fit === "crop" ? Math.max : Math.min)(across, down);
  const left = (width - canvas_width * across) / 2;
  const top = (height - canvas_height * down) / 2;
  return (x, y) => [x * across + left, y * down + top];
}

/** So many points that are missing. */
export function missing(count) {
  return Array.from({ length: count }, () => [0, 0, 0]);
}

export function isFound(point) {
  return point[2] > 0;
}

/** All points of a person, or of one of its parts, that are there. */
export function foundPoints(person, part = null) {
  const parts = part ? [person[part]] : PARTS.map(({ id }) => person[id]);
  return parts.flatMap((points) => (points ?? []).filter(isFound));
}

/** The box around points, {left, top, right, bottom, x, y} with its middle; null where there are none. */
export function boxOf(points) {
  if (!points.length) return null;
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  return { left, top, right, bottom, x: (left + right) / 2, y: (top + bottom) / 2 };
}

/** The mean score of a person's joints that are there, from 0 to 1. */
export function confidenceOf(person) {
  const found = foundPoints(person, "body");
  const points = found.length ? found : foundPoints(person);
  return points.reduce((sum, [, , score]) => sum + score, 0) / Math.max(points.length, 1);
}

/** Replace one person. */
export function withPerson(people, index, person) {
  return people.map((one, place) => (place === index ? person : one));
}

/** Replace one point. */
export function withPoint(person, part, index, point) {
  return { ...person, [part]: person[part].map((one, place) => (place === index ? point : one)) };
}

/** Take a point away; a hand or face without points is gone. */
export function withoutPoint(person, part, index) {
  const left = withPoint(person, part, index, [0, 0, 0]);
  return part === "body" || left[part].some(isFound) ? left : { ...left, [part]: null };
}

/** Apply `move(x, y)` to the points of a person, or of one part, that are there; coordinates become hundredths of a pixel. */
export function moved(person, move, part = null) {
  const change = (points) => points?.map((point) => (isFound(point) ? [...rounded(move(point[0], point[1])), point[2]] : point)) ?? null;
  const changed = PARTS.filter(({ id }) => !part || id === part).map(({ id }) => [id, change(person[id])]);
  return { ...person, ...Object.fromEntries(changed) };
}

/** Coordinates in hundredths of a pixel. */
export function rounded(place) {
  return place.map((value) => Math.round(100 * value) / 100);
}

/** Turn by an angle, in radians clockwise, and scale around a point. */
export function turning({ x: centreX, y: centreY }, angle, scale = 1) {
  const across = Math.cos(angle) * scale;
  const down = Math.sin(angle) * scale;
  return (x, y) => [
    centreX + (x - centreX) * across - (y - centreY) * down,
    centreY + (x - centreX) * down + (y - centreY) * across,
  ];
}

/** The points that hang on one, itself included: `bones` are pairs that lead away from the middle of the body. */
export function pointsBeyond(bones, index) {
  const beyond = new Set([index]);
  for (let before = 0; before !== beyond.size; ) {
    before = beyond.size;
    for (const [from, to] of bones) if (beyond.has(from)) beyond.add(to);
  }
  return beyond;
}

/**
 * Move one point, with all those `beyond` it where a set is given. A hand follows its wrist unless `isAlone`; a face follows
 * the nose where points beyond it move too. The point itself is certain from then on.
 */
export function movePoint(person, part, index, dx, dy, { beyond = new Set([index]), isAlone = false } = {}) {
  const shift = (x, y) => [x + dx, y + dy];
  const points = person[part].map((point, place) =>
    beyond.has(place) && isFound(point) ? [...rounded(shift(point[0], point[1])), place === index ? 1 : point[2]] : point,
  );
  let result = { ...person, [part]: points };
  if (part !== "body" || isAlone) return result;
  for (const { id, wrist } of PARTS) if (beyond.has(wrist)) result = moved(result, shift, id);
  return beyond.size > 1 && beyond.has(NOSE) ? moved(result, shift, "face") : result;
}

/** Mirror a person around the middle of its box: what was its right side is its left side. */
export function flip(person) {
  const box = boxOf(foundPoints(person));
  if (!box) return person;
  const sum = box.left + box.right;
  const mirrored = ([x, y, score]) => (score > 0 ? [sum - x, y, score] : [x, y, score]);
  const parts = PARTS.map(({ id }) => [id, mirrorOrder(id, person[MIRRORED_PARTS[id]])?.map(mirrored) ?? null]);
  return { ...person, ...Object.fromEntries(parts) };
}

/** Points in the order that they have in a mirror. Fingers keep theirs: the hand is the other one. */
function mirrorOrder(part, points) {
  if (part === "body") return MIRRORED_BODY.map((index) => points[index]);
  return part === "face" ? points?.map((_, index) => points[mirroredFace(index)]) : points;
}

/** The place of a face's point in the mirror, in the order of 70 points. */
export function mirroredFace(index) {
  if (index in MIRRORED_EYES) return MIRRORED_EYES[index];
  const [first, last] = MIRRORED_FACE.find(([from, to]) => from <= index && index <= to);
  return first + last - index;
}

/** How many points of a person lie outside the frame. */
export function countOutside(person, frame) {
  return foundPoints(person).filter((point) => isOutside(point, frame)).length;
}

/** A person without the points outside the frame. */
export function withoutOutside(person, frame) {
  const keep = (points) => points?.map((point) => (isFound(point) && isOutside(point, frame) ? [0, 0, 0] : point));
  const parts = PARTS.map(({ id }) => [id, keep(person[id])]);
  const kept = parts.map(([id, points]) => [id, points && (id === "body" || points.some(isFound)) ? points : null]);
  return { ...person, ...Object.fromEntries(kept) };
}

function isOutside([x, y], { width, height }) {
  return x < 0 || y < 0 || x > width || y > height;
}
