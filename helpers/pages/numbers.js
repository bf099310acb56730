// Numbers in rows (Float32Array, one row after another), and what networks need of them: each is a loop or two.
"use strict";

/** The weights of a page: name -> {data, shape}, out of half-precision numbers in base64. */
function unpack(packed) {
  const text = atob(packed.halves), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const halves = new Uint16Array(bytes.buffer), wide = halfTable(), all = new Float32Array(halves.length);
  for (let i = 0; i < all.length; i++) all[i] = wide[halves[i]];
  const found = {};
  let start = 0;
  for (const [name, shape] of packed.tensors) {
    const size = shape.reduce((a, b) => a * b, 1);
    found[name] = { data: all.subarray(start, start + size), shape };
    start += size;
  }
  return found;
}

/** All 65,536 numbers of half precision: one bit for the sign, five for the power of two, ten for the digits. */
function halfTable() {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const power = (bits >> 10) & 31, digits = bits & 1023;
    const size = power === 0 ? digits * 2 ** -24 : power === 31 ? Infinity : (1 + digits / 1024) * 2 ** (power - 15);
    table[bits] = bits & 32768 ? -size : size;
  }
  return table;
}

/** The weights whose names begin so, under what is left of their names. */
function within(weights, prefix) {
  const found = {};
  for (const name in weights) if (name.startsWith(prefix)) found[name.slice(prefix.length)] = weights[name];
  return found;
}

/** x (N, in) times the transposed weight (out, in), plus bias: (N, out). Four outputs at a time, which is faster. */
function linear(x, weight, bias) {
  const [out, width] = weight.shape, W = weight.data, n = x.length / width, y = new Float32Array(n * out);
  for (let i = 0; i < n; i++) {
    const from = i * width, to = i * out;
    let j = 0;
    for (; j + 3 < out; j += 4) {
      let p = 0, q = 0, r = 0, s = 0;
      for (let k = 0, w = j * width; k < width; k++, w++) {
        const value = x[from + k];
        p += value * W[w];
        q += value * W[w + width];
        r += value * W[w + 2 * width];
        s += value * W[w + 3 * width];
      }
      y[to + j] = p;
      y[to + j + 1] = q;
      y[to + j + 2] = r;
      y[to + j + 3] = s;
    }
    for (; j < out; j++) for (let k = 0; k < width; k++) y[to + j] += x[from + k] * W[j * width + k];
    if (bias) for (let m = 0; m < out; m++) y[to + m] += bias.data[m];
  }
  return y;
}

/** linear, by the names of the layer. */
const layer = (x, weights, name) => linear(x, weights[name + ".weight"], weights[name + ".bias"]);

/** A row of a table, such as the numbers of one label. */
function row(table, index) {
  const width = table.data.length / table.shape[0];
  return table.data.subarray(index * width, (index + 1) * width);
}

/** The same function of every number, in place. */
function each(x, f) {
  for (let i = 0; i < x.length; i++) x[i] = f(x[i]);
  return x;
}

/** The error function, to 1e-7 (Abramowitz and Stegun, 1964, 7.1.26). */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - tail * Math.exp(-x * x));
}

const gelu = (x) => (x * (1 + erf(x * Math.SQRT1_2))) / 2;
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const silu = (x) => x * sigmoid(x);

/** Each row of x (N, width) with mean 0 and variance 1, scaled and shifted where there are weights for it. */
function layerNorm(x, width, scale, shift) {
  const y = new Float32Array(x.length);
  for (let from = 0; from < x.length; from += width) {
    let mean = 0, variance = 0;
    for (let k = 0; k < width; k++) mean += x[from + k] / width;
    for (let k = 0; k < width; k++) variance += (x[from + k] - mean) ** 2 / width;
    const by = 1 / Math.sqrt(variance + 1e-5);
    for (let k = 0; k < width; k++) {
      y[from + k] = (x[from + k] - mean) * by * (scale ? scale.data[k] : 1) + (shift ? shift.data[k] : 0);
    }
  }
  return y;
}

/** Logarithms of probabilities, from scores. */
function logSoftmax(scores) {
  let top = -Infinity, sum = 0;
  for (const score of scores) top = Math.max(top, score);
  for (const score of scores) sum += Math.exp(score - top);
  const by = top + Math.log(sum);
  return Float64Array.from(scores, (score) => score - by);
}

/** Random numbers from 0 to 1, the same for the same seed, if one is given (mulberry32, by Tommy Ettinger, public domain). */
function uniform(seed = Math.random() * 2 ** 32) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** n draws from the standard Normal (Box and Muller, 1958). */
function normals(n, random) {
  const found = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    found[i] = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  }
  return found;
}

/** Which of several, by their probabilities. */
function choose(probabilities, random) {
  let left = random();
  for (let i = 0; i < probabilities.length; i++) {
    left -= probabilities[i];
    if (left < 0) return i;
  }
  return probabilities.reduce((best, p, i) => (p > probabilities[best] ? i : best), 0); // rounding left a little over
}
