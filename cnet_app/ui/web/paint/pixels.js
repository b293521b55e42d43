/** Work on one level a pixel: regions of one level, growing, softening. Levels are a Uint8Array, row after row. */

const STRAIGHT = [[1, 0], [-1, 0], [0, 1], [0, -1]];

/** The pixels that join (x, y) and differ from it by at most `tolerance`: 1 in a Uint8Array, 0 elsewhere. */
export function regionAt(levels, width, height, x, y, tolerance = 0) {
  const region = new Uint8Array(levels.length);
  const level = levels[y * width + x];
  const isIn = (at) => !region[at] && Math.abs(levels[at] - level) <= tolerance;
  const waiting = [y * width + x];
  while (waiting.length) {
    const at = waiting.pop();
    if (!isIn(at)) continue;
    const first = at - (at % width);
    let left = at;
    let right = at;
    while (left > first && isIn(left - 1)) left -= 1;
    while (right < first + width - 1 && isIn(right + 1)) right += 1;
    region.fill(1, left, right + 1);
    for (const step of [-width, width]) {
      if (left + step < 0 || left + step >= levels.length) continue;
      for (let next = left + step; next <= right + step; next += 1) {
        if (isIn(next) && (next === left + step || !isIn(next - 1))) waiting.push(next);
      }
    }
  }
  return region;
}

/** Take the half-covered pixels at a region's border into it, so that no seam stays between a fill and a smooth stroke. */
export function withSoftBorder(region, levels, width, height) {
  const wider = region.slice();
  for (let at = 0; at < region.length; at += 1) {
    if (region[at] || levels[at] === 0 || levels[at] === 255) continue;
    const x = at % width;
    const y = (at - x) / width;
    const touches = STRAIGHT.some(([dx, dy]) => {
      const [nx, ny] = [x + dx, y + dy];
      return nx >= 0 && ny >= 0 && nx < width && ny < height && region[ny * width + nx];
    });
    if (touches) wider[at] = 1;
  }
  return wider;
}

/** Grow what is bright by `radius` pixels, or shrink it where `radius` is negative; borders stay smooth. */
export function grow(levels, width, height, radius) {
  if (radius < 0) return inverted(grow(inverted(levels), width, height, -radius));
  const distances = squaredDistances(levels, width, height);
  return new Uint8Array(distances.map((squared) => 255 * Math.min(Math.max(radius + 0.5 - Math.sqrt(squared), 0), 1)));
}

export function inverted(levels) {
  return levels.map((level) => 255 - level);
}

/** Soften borders: three box blurs, which together are close to a Gaussian whose deviation is `radius` / 2 pixels. */
export function soften(levels, width, height, radius) {
  const half = Math.max(1, Math.round(radius / 2));
  let soft = new Float32Array(levels);
  for (let pass = 0; pass < 3; pass += 1) {
    soft = blurred(soft, width, height, half, 1, width);
    soft = blurred(soft, height, width, half, width, 1);
  }
  return new Uint8Array(soft.map(Math.round));
}

/** Means over 2 × half + 1 values along lines; beyond its ends a line goes on as it ends. */
function blurred(values, length, lines, half, step, stride) {
  const means = new Float32Array(values.length);
  const size = 2 * half + 1;
  for (let line = 0; line < lines; line += 1) {
    const at = (place) => line * stride + Math.min(Math.max(place, 0), length - 1) * step;
    let sum = 0;
    for (let place = -half; place <= half; place += 1) sum += values[at(place)];
    for (let place = 0; place < length; place += 1) {
      means[at(place)] = sum / size;
      sum += values[at(place + half + 1)] - values[at(place - half)];
    }
  }
  return means;
}

/** The squared distance of every pixel to the nearest one that is at least half bright. */
function squaredDistances(levels, width, height) {
  const far = width * width + height * height;
  const distances = new Float32Array(levels).map((level) => (level >= 128 ? 0 : far));
  const longest = Math.max(width, height);
  const room = { heights: new Float64Array(longest), tops: new Int32Array(longest), borders: new Float64Array(longest) };
  for (let x = 0; x < width; x += 1) nearestOnLine(distances, height, x, width, room);
  for (let y = 0; y < height; y += 1) nearestOnLine(distances, width, y * width, 1, room);
  return distances;
}

/** Add the distance along one line: the lower envelope of a parabola over each of its values. */
function nearestOnLine(values, length, start, step, { heights, tops, borders }) {
  for (let place = 0; place < length; place += 1) heights[place] = values[start + place * step];
  let count = 0;
  for (let place = 0; place < length; place += 1) {
    let border = -Infinity;
    while (count) {
      const top = tops[count - 1];
      border = (heights[place] + place * place - heights[top] - top * top) / (2 * (place - top));
      if (border > borders[count - 1]) break;
      border = -Infinity;
      count -= 1;
    }
    borders[count] = border;
    tops[count] = place;
    count += 1;
  }
  for (let place = 0, part = 0; place < length; place += 1) {
    while (part + 1 < count && borders[part + 1] <= place) part += 1;
    values[start + place * step] = heights[tops[part]] + (place - tops[part]) ** 2;
  }
}
