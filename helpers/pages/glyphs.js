// Alphabets as fields of signed distances, 28 × 28 for each of 62 characters, as in the lesson Images.
"use strict";

const CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const SIDE = 28, BASELINE = 21.5, CAPITAL = 17, SLOPE = 0.9;
const WHOLE = 0.3; // a grey level: what is darker counts as ink where pieces are counted

const ink = (distance) => Math.min(Math.max(SLOPE * distance + 0.5, 0), 1);

/** The decoder of the lesson: a code (K,) and each label to a field, (labels, 784). */
function decodeAlphabet(weights, code) {
  const labels = weights["label.weight"].shape[0], start = layer(code, weights, "code"), width = start.length;
  const h = new Float32Array(labels * width);
  for (let c = 0; c < labels; c++) {
    const own = row(weights["label.weight"], c);
    for (let k = 0; k < width; k++) h[c * width + k] = start[k] + own[k];
  }
  const hidden = each(layer(each(h, gelu), weights, "net.1.0"), gelu);
  const average = weights["average.weight"].data;
  return layer(hidden, weights, "net.1.2").map((value, i) => value + average[i]);
}

/** Into how many pieces the ink of a field falls; pixels that share a side or a corner hang together. */
function pieces(field) {
  const left = Uint8Array.from(field, (value) => (ink(value) > WHOLE ? 1 : 0));
  let count = 0;
  for (let start = 0; start < left.length; start++) {
    if (!left[start]) continue;
    count++;
    const next = [start];
    left[start] = 0;
    while (next.length) {
      const place = next.pop(), x = place % SIDE, y = (place - x) / SIDE;
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, SIDE - 1); v++) {
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, SIDE - 1); u++) {
          if (left[v * SIDE + u]) {
            left[v * SIDE + u] = 0;
            next.push(v * SIDE + u);
          }
        }
      }
    }
  }
  return count;
}

/** Which pixels lie above both neighbours, and clearly, in one of four directions. */
function ridges(field) {
  const at = (x, y) => (x < 0 || y < 0 || x >= SIDE || y >= SIDE ? -Infinity : field[y * SIDE + x]);
  return field.map((value, i) => {
    const x = i % SIDE, y = (i - x) / SIDE;
    return [[0, 1], [1, 0], [1, 1], [1, -1]].some(([down, right]) => {
      const one = at(x + right, y + down), other = at(x - right, y - down);
      return value > Math.max(one, other) && value > (one + other) / 2 + 0.05;
    }) ? 1 : 0;
  });
}

/** Broken strokes joined where they can still be seen faintly, in place: thin where they were lost. */
function mend(alphabet) {
  for (let c = 0; c < CHARACTERS.length; c++) {
    if (CHARACTERS[c] === "i" || CHARACTERS[c] === "j") continue; // whole in two pieces
    const field = alphabet.subarray(c * SIDE * SIDE, (c + 1) * SIDE * SIDE);
    for (let deep = 0.2; deep < 1.05; deep += 0.1) {
      const before = pieces(field);
      if (before === 1) break;
      const high = ridges(field);
      const raised = field.map((value, i) => (high[i] && value > -deep && value < 0.1 ? 0.1 : value));
      const now = pieces(raised);
      if (now > 0 && (now < before || before === 0)) field.set(raised);
    }
  }
  return alphabet;
}

/** A field at several times its resolution, (28 times)², by cubic interpolation: its edge stays as sharp. */
function enlarge(field, times, a = -0.75) {
  const taps = Array.from({ length: SIDE * times }, (_, i) => {
    const at = (i + 0.5) / times - 0.5, first = Math.floor(at), t = at - first;
    const near = (d) => ((a + 2) * d - (a + 3)) * d * d + 1, far = (d) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    const weights = [far(t + 1), near(t), near(1 - t), far(2 - t)];
    return weights.map((weight, k) => [Math.min(Math.max(first - 1 + k, 0), SIDE - 1), weight]);
  });
  const size = SIDE * times, wide = new Float32Array(SIDE * size), found = new Float32Array(size * size);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < size; x++) for (const [k, w] of taps[x]) wide[y * size + x] += w * field[y * SIDE + k];
  }
  for (let y = 0; y < size; y++) {
    for (const [k, w] of taps[y]) for (let x = 0; x < size; x++) found[y * size + x] += w * wide[k * size + x];
  }
  return found;
}

const fieldOf = (alphabet, character) => {
  const c = CHARACTERS.indexOf(character);
  return alphabet.subarray(c * SIDE * SIDE, (c + 1) * SIDE * SIDE);
};

/** What an alphabet looks like, in numbers: weight, slant, width, x-height, serif and contrast, as in the lesson. */
function measure(alphabet) {
  const grey = {}, mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  for (const k of CHARACTERS) grey[k] = Array.from(fieldOf(alphabet, k), ink);
  const at = (k, x, y) => grey[k][y * SIDE + x], span = [...Array(SIDE).keys()];
  const foot = Math.trunc(BASELINE - 1), middle = Math.trunc(BASELINE - 5);
  const lean = (k) => {
    const total = Math.max(grey[k].reduce((a, b) => a + b, 0), 1e-6);
    let x = 0, y = 0, above = 0, across = 0;
    for (const v of span) for (const u of span) {
      x += (at(k, u, v) / total) * (u + 0.5);
      y += (at(k, u, v) / total) * (v + 0.5);
    }
    for (const v of span) for (const u of span) {
      above += (at(k, u, v) / total) * (v + 0.5 - y) * (u + 0.5 - x);
      across += (at(k, u, v) / total) * (v + 0.5 - y) ** 2;
    }
    return -above / Math.max(across, 1e-6);
  };
  const wide = (k) => span.filter((u) => span.some((v) => at(k, u, v) > 0.5)).length;
  const top = (k) => Math.max(span.findIndex((v) => span.some((u) => at(k, u, v) > 0.5)), 0);
  const inked = (k, v) => span.reduce((sum, u) => sum + at(k, u, v), 0);
  const halfway = Math.trunc(BASELINE - 6), centre = SIDE / 2 - 1;
  const column = (u) => span.reduce((sum, v) => sum + at("o", u, v), 0);
  const across = (inked("o", halfway) + inked("o", halfway + 1)) / 2, level = (column(centre) + column(centre + 1)) / 2;
  return {
    weight: mean([...CHARACTERS].map((k) => mean(grey[k]))),
    slant: mean([..."HIl"].map(lean)),
    width: mean([..."Hn"].map(wide)),
    "x-height": mean([..."xz"].map((k) => BASELINE - top(k) - 0.5)),
    serif: mean([..."hnmr"].map((k) => inked(k, foot) / Math.max(inked(k, middle), 0.5))),
    contrast: across / Math.max(level, 0.5),
  };
}
