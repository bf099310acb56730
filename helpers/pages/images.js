// Networks that draw images: a code and a label through layers, convolutions among them, to pixels.
"use strict";

/** A sequence of layers, as the page's facts list them, for one example. */
function run(steps, x, weights) {
  let shape = [x.length];
  for (const [kind, given] of steps) {
    if (kind === "linear") [x, shape] = [layer(x, weights, given), [weights[given + ".weight"].shape[0]]];
    if (kind === "gelu") x = each(Float32Array.from(x), gelu);
    if (kind === "shape") shape = given;
    if (kind === "conv") [x, shape] = convolve(x, shape, weights[given + ".weight"], weights[given + ".bias"]);
    if (kind === "shuffle") [x, shape] = shuffle(x, shape);
  }
  return { x, shape };
}

/** A convolution of 3 × 3 over maps x (C, H, W), with a border of zeros: (O, H, W). */
function convolve(x, [C, H, W], weight, bias) {
  const O = weight.shape[0], y = new Float32Array(O * H * W);
  for (let o = 0; o < O; o++) {
    y.fill(bias.data[o], o * H * W, (o + 1) * H * W);
    for (let c = 0; c < C; c++) for (let tap = 0; tap < 9; tap++) {
      const down = Math.floor(tap / 3) - 1, right = (tap % 3) - 1, w = weight.data[(o * C + c) * 9 + tap];
      for (let v = Math.max(0, -down); v < Math.min(H, H - down); v++) {
        const from = (c * H + v + down) * W + right, to = (o * H + v) * W;
        for (let u = Math.max(0, -right); u < Math.min(W, W - right); u++) y[to + u] += w * x[from + u];
      }
    }
  }
  return [y, [O, H, W]];
}

/** Maps (4 C, H, W) laid out as squares of 2 × 2: (C, 2 H, 2 W). */
function shuffle(x, [C, H, W]) {
  const y = new Float32Array(x.length);
  for (let c = 0; c < C; c++) for (let v = 0; v < H; v++) for (let u = 0; u < W; u++) {
    const out = c >> 2, down = (c >> 1) & 1, right = c & 1;
    y[(out * 2 * H + 2 * v + down) * 2 * W + 2 * u + right] = x[(c * H + v) * W + u];
  }
  return [y, [C / 4, 2 * H, 2 * W]];
}

/** The decoder: a code (K,) and a label to pixels (planes, H, W) as they are shown. */
function decodeImage(facts, weights, code, label) {
  const own = row(weights[facts.label + ".weight"], label), [planes, height, width] = facts.shape;
  const start = layer(code, weights, facts.code).map((value, k) => value + own[k]);
  const { x, shape } = run(facts.steps, start, weights), wide = shape.length === 3 ? shape[2] : width;
  const high = shape.length === 3 ? shape[1] : height, average = row(weights[facts.average], label);
  const found = new Float32Array(planes * height * width);
  for (let p = 0; p < planes; p++) for (let v = 0; v < height; v++) for (let u = 0; u < width; u++) {
    const place = (p * height + v) * width + u;
    found[place] = average[place] + x[(p * high + v) * wide + u];
  }
  return facts.levels ? each(found, (value) => toned(value, weights.tone)) : found;
}

/** A mean between 0 and 1, along the curve by which levels are as frequent as in real images. */
function toned(value, tone) {
  const clipped = Math.min(Math.max(value, 0), 1);
  if (!tone) return clipped;
  const place = clipped * 255, below = Math.min(Math.floor(place), 254);
  return tone.data[below] + (place - below) * (tone.data[below + 1] - tone.data[below]);
}

/** Pixels on a canvas of their own size; numbers that are no grey levels are stretched to some. */
function paintImage(canvas, pixels, [planes, height, width]) {
  let [low, high] = [Math.min, Math.max].map((f) => pixels.reduce((a, b) => f(a, b)));
  if (low > -0.5 && high < 1.5) [low, high] = [0, 1];
  const image = new ImageData(width, height), size = width * height;
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) {
      const value = (pixels[(planes === 3 ? c : 0) * size + i] - low) / Math.max(high - low, 1e-9);
      image.data[4 * i + c] = Math.round(255 * Math.min(Math.max(value, 0), 1));
    }
    image.data[4 * i + 3] = 255;
  }
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(image, 0, 0);
}
