// From a field of distances to outlines: lines, and quadratic curves as TrueType has them.
//
// The zero line is found by marching squares, on a grid four times as fine. Where it turns sharply is a corner, put
// where its sides would meet: a field on coarse pixels rounds them. Between corners it is straight, or a chain of
// quadratic curves, whose middle control points are all that a font file must hold.
"use strict";

const FINE = 4, STEP = 0.2, REACH = 4; // values a pixel; pixels between points; points to each side of a corner
const TURN = (38 * Math.PI) / 180, STRAIGHT = 0.1, CURVE = 1.4, SPECK = 0.8; // pixels, and square pixels

/** A field, finer, and smoothed very lightly: what outlines and spacing are measured on. */
function refine(field) {
  const size = SIDE * FINE, fine = enlarge(field, FINE, -0.5), smooth = new Float32Array(fine.length);
  const at = (x, y) => fine[Math.min(Math.max(y, 0), size - 1) * size + Math.min(Math.max(x, 0), size - 1)];
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
    const sides = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1);
    const edges = at(x - 1, y - 1) + at(x + 1, y - 1) + at(x - 1, y + 1) + at(x + 1, y + 1);
    smooth[y * size + x] = 0.5 * fine[y * size + x] + 0.095 * sides + 0.03 * edges;
  }
  return smooth;
}

/** The closed lines on which a refined field is zero: lists of [x, y] in pixels, y downwards, ink to the right. */
function zeroLines(fine) {
  const size = SIDE * FINE, wide = size + 2;
  const value = (x, y) => (x < 1 || y < 1 || x > size || y > size ? -1 : fine[(y - 1) * size + x - 1]);
  const next = new Map(), place = new Map();
  const cross = (x0, y0, x1, y1) => {
    const a = value(x0, y0), b = value(x1, y1), t = a / (a - b);
    const key = 2 * (Math.min(y0, y1) * wide + Math.min(x0, x1)) + (x0 === x1 ? 1 : 0);
    place.set(key, [(x0 + t * (x1 - x0) - 0.5) / FINE, (y0 + t * (y1 - y0) - 0.5) / FINE]);
    return key;
  };
  for (let y = 0; y < wide - 1; y++) for (let x = 0; x < wide - 1; x++) {
    const corners = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]], leave = [], enter = [];
    const values = corners.map(([u, v]) => value(u, v)), inside = values.map((v) => v > 0);
    for (let k = 0; k < 4; k++) {
      const m = (k + 1) % 4;
      if (inside[k] !== inside[m]) (inside[k] ? leave : enter).push(cross(...corners[k], ...corners[m]));
    }
    if (leave.length === 2) { // a saddle: its middle says which corners hang together
      const joined = values.reduce((a, b) => a + b) > 0;
      const turn = inside[0] === joined ? 0 : 1;
      next.set(leave[0], enter[turn]).set(leave[1], enter[1 - turn]);
    } else if (leave.length) next.set(leave[0], enter[0]);
  }
  const rings = [];
  while (next.size) {
    const ring = [];
    for (let key = next.keys().next().value; next.has(key); ) {
      const after = next.get(key);
      next.delete(key);
      ring.push(place.get(key));
      key = after;
    }
    if (ring.length > 3 && Math.abs(area(ring)) > SPECK) rings.push(ring);
  }
  return rings;
}

/** The signed area of a closed line, positive if it runs clockwise as seen, with y downwards. */
function area(ring) {
  return ring.reduce((sum, [x, y], i) => {
    const [u, v] = ring[(i + 1) % ring.length];
    return sum + (x * v - u * y) / 2;
  }, 0);
}

/** The same line by points evenly apart; closed, or from its first to its last point. */
function evenly(line, step, closed = true, least = 8) {
  const all = closed ? [...line, line[0]] : line, along = [0];
  for (let i = 1; i < all.length; i++) {
    along.push(along[i - 1] + Math.hypot(all[i][0] - all[i - 1][0], all[i][1] - all[i - 1][1]));
  }
  const long = along[along.length - 1], n = Math.max(least, Math.ceil(long / step)), found = [];
  for (let i = 0, k = 0; i < n + (closed ? 0 : 1); i++) {
    const s = (long * i) / n;
    while (k < all.length - 2 && along[k + 1] < s) k++;
    const t = (s - along[k]) / Math.max(along[k + 1] - along[k], 1e-9);
    found.push([0, 1].map((axis) => all[k][axis] + t * (all[k + 1][axis] - all[k][axis])));
  }
  return found;
}

/** A closed line as nodes {x, y, on}: on the outline, or the control point of a curve. */
function trace(ring) {
  const points = evenly(ring, STEP), n = points.length, reach = Math.min(REACH, Math.floor(n / 4));
  const at = (i) => points[((i % n) + n) % n];
  const turns = points.map((p, i) => {
    const before = at(i - reach), after = at(i + reach);
    const a = [p[0] - before[0], p[1] - before[1]], b = [after[0] - p[0], after[1] - p[1]];
    return Math.abs(Math.atan2(a[0] * b[1] - a[1] * b[0], a[0] * b[0] + a[1] * b[1]));
  });
  const corners = [];
  for (const i of [...turns.keys()].sort((a, b) => turns[b] - turns[a])) {
    if (turns[i] <= TURN) break;
    if (corners.every((j) => Math.min((i - j + n) % n, (j - i + n) % n) >= reach)) corners.push(i);
  }
  if (!corners.length) return smoothLoop(points);
  corners.sort((a, b) => a - b);
  const sharp = corners.map((i) => sharpened(at, i, reach)), half = Math.floor(reach / 2), nodes = [];
  corners.forEach((i, k) => {
    const last = k + 1 === corners.length, j = last ? corners[0] + n : corners[k + 1], end = sharp[last ? 0 : k + 1];
    const away = j - i > 2 * reach ? half : 1, part = [sharp[k]];
    for (let m = i + away; m <= j - away; m++) part.push(at(m));
    part.push(end);
    nodes.push({ x: sharp[k][0], y: sharp[k][1], on: true });
    if (!straight(part)) nodes.push(...controls(part, Math.max(1, Math.round(((j - i) * STEP) / CURVE))));
  });
  return nodes;
}

/** A closed line without corners: control points alone, after one point on the outline. */
function smoothLoop(points) {
  const first = points.reduce((best, p, i) => (p[0] < points[best][0] ? i : best), 0);
  const loop = [...points.slice(first), ...points.slice(0, first + 1)];
  const nodes = controls(loop, Math.max(6, Math.round((points.length * STEP) / CURVE))), last = nodes[nodes.length - 1];
  return [{ x: (nodes[0].x + last.x) / 2, y: (nodes[0].y + last.y) / 2, on: true }, ...nodes];
}

/** Whether a line leaves its chord by next to nothing. */
function straight(part) {
  const [a, b] = [part[0], part[part.length - 1]], long = Math.hypot(b[0] - a[0], b[1] - a[1]);
  if (long < 1e-6) return false;
  return part.every(([x, y]) => Math.abs((x - a[0]) * (b[1] - a[1]) - (y - a[1]) * (b[0] - a[0])) / long < STRAIGHT);
}

/** The control points of so many quadratic curves in a chain: each passes through the middle of its part. */
function controls(part, count) {
  const at = evenly(part, Infinity, false, 2 * count); // the ends of the curves, and their middles
  return Array.from({ length: count }, (_, k) => {
    const [a, middle, b] = [at[2 * k], at[2 * k + 1], at[2 * k + 2]];
    return { x: 2 * middle[0] - (a[0] + b[0]) / 2, y: 2 * middle[1] - (a[1] + b[1]) / 2, on: false };
  });
}

/** Where the two sides of a corner, prolonged, meet; the corner itself, where they are bent, or meet far away. */
function sharpened(at, i, reach) {
  const sides = [-1, 1].map((sign) => {
    const points = [];
    for (let k = Math.floor(reach / 2) + 1; k < 2 * reach; k++) points.push(at(i + sign * k));
    return fitted(points);
  });
  const [p, q] = sides, cross = p.u[0] * q.u[1] - p.u[1] * q.u[0];
  if (p.spread > 0.0025 || q.spread > 0.0025 || Math.abs(cross) < 0.3) return at(i);
  const t = ((q.middle[0] - p.middle[0]) * q.u[1] - (q.middle[1] - p.middle[1]) * q.u[0]) / cross;
  const meeting = [p.middle[0] + t * p.u[0], p.middle[1] + t * p.u[1]];
  return Math.hypot(meeting[0] - at(i)[0], meeting[1] - at(i)[1]) < 0.75 ? meeting : at(i);
}

/** The straight line that is nearest to points: its middle, its direction u, and the variance across it. */
function fitted(points) {
  const n = points.length, middle = [0, 1].map((axis) => points.reduce((sum, p) => sum + p[axis], 0) / n);
  let xx = 0, xy = 0, yy = 0;
  for (const [x, y] of points) {
    xx += (x - middle[0]) ** 2 / (n - 1);
    xy += ((x - middle[0]) * (y - middle[1])) / (n - 1);
    yy += (y - middle[1]) ** 2 / (n - 1);
  }
  const angle = Math.atan2(2 * xy, xx - yy) / 2;
  const u = [Math.cos(angle), Math.sin(angle)];
  return { middle, u, spread: xx * u[1] ** 2 - 2 * xy * u[0] * u[1] + yy * u[0] ** 2 };
}

/** Pairs of nodes that are a level line at least a pixel long. */
function levelPairs(nodes) {
  return nodes.map((a, i) => [a, nodes[(i + 1) % nodes.length]]).filter(([a, b]) =>
    a.on && b.on && Math.abs(a.x - b.x) > 1 && Math.abs(a.y - b.y) < 0.12 * Math.abs(a.x - b.x));
}

/** Where several letters have their level parts: the median near an expected height, or that height. */
function level(outlines, characters, expected) {
  const found = [...characters].flatMap((k) => outlines[k].flatMap(levelPairs)).map(([a, b]) => (a.y + b.y) / 2)
    .filter((y) => Math.abs(y - expected) < 1).sort((a, b) => a - b);
  return found.length ? found[Math.floor(found.length / 2)] : expected;
}

/** Level lines that nearly lie on one of the heights are put onto it, so that all letters stand on one line. */
function align(nodes, heights) {
  for (const pair of levelPairs(nodes)) {
    const y = (pair[0].y + pair[1].y) / 2, near = heights.filter((height) => Math.abs(height - y) <= 0.35);
    if (near.length) for (const node of pair) node.y = near[0];
  }
}
