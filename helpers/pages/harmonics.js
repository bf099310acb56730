// Sound from harmonics, as in the lesson Audio: amplitudes read off a spectrogram where the pitch is known, and sines.
"use strict";

const RATE = 16000, N_FFT = 1024, HOP = 320, FLOOR = 1e-3; // samples a second; of a window; between windows; silence
const SHARPEN = 20, ONSET = 0.005; // rounds; seconds in which a note rises at the least

const MAGMA = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]];

const hertz = (pitch) => 440 * 2 ** ((pitch - 69) / 12);

/** How strong each spectrum of a decoder is at each frame, for a code (K,) and a label: (R T,). */
function gainsOf(weights, code, label) {
  const start = layer(code, weights, "code"), own = row(weights["label.weight"], label);
  const h = layer(each(start.map((value, k) => value + own[k]), gelu), weights, "gains.1.0");
  return layer(each(h, gelu), weights, "gains.1.2");
}

/** The decoder of the lesson: a code (K,) and a label to log-magnitudes {data (F, T), F, T}. */
function decodeNote(weights, code, label) {
  const gains = gainsOf(weights, code, label), spectra = row(weights.spectra, label);
  const average = row(weights.average, label), F = average.length, R = spectra.length / F, T = gains.length / R;
  const data = new Float32Array(F * T);
  for (let f = 0; f < F; f++) data.fill(average[f], f * T, (f + 1) * T);
  for (let r = 0; r < R; r++) for (let f = 0; f < F; f++) {
    const strength = spectra[r * F + f];
    for (let t = 0; t < T; t++) data[f * T + t] += strength * gains[r * T + t];
  }
  return { data, F, T };
}

/** Loudness from 0 to 1 as a colour from dark to bright, at a place of an image's data. */
function tint(data, place, loud) {
  const at = Math.min(Math.max(loud, 0), 1) * (MAGMA.length - 1), k = Math.min(Math.floor(at), MAGMA.length - 2);
  for (let c = 0; c < 3; c++) data[place + c] = MAGMA[k][c] + (at - k) * (MAGMA[k + 1][c] - MAGMA[k][c]);
  data[place + 3] = 255;
}

/** The main lobe of a Hann window: the magnitude of a sine of amplitude 1, so many bins off its frequency. */
function lobe(bins) {
  const d = Math.abs(bins), turn = Math.PI * d;
  if (Math.abs(d - 1) < 1e-6) return 0.5;
  return (d < 1e-9 ? 1 : Math.sin(turn) / turn) / (1 - d * d);
}

/** How strong each harmonic is at each frame: rows of T. A frame blurs how a note begins; `sharpen` rounds of
 * Richardson (1972) and Lucy (1974) undo most of that. */
function readHarmonics({ data, T }, f0, sharpen = SHARPEN) {
  const blur = blurOf(T), seen = blur.map((line) => line.reduce((a, b) => a + b, 0)), found = [];
  const given = Array.from({ length: T }, (_, k) => blur.reduce((sum, line) => sum + line[k], 0));
  for (let h = 1; h * f0 < RATE / 2; h++) {
    const place = (h * f0 * N_FFT) / RATE, nearest = Math.round(place);
    const read = Float64Array.from(data.subarray(nearest * T, (nearest + 1) * T), (x) =>
      x > Math.log(FLOOR) + 0.1 ? Math.exp(Math.min(x, 3)) / lobe(nearest - place) : 0);
    let a = read.map((value, t) => value / seen[t]);
    for (let round = 0; round < sharpen; round++) {
      const up = new Float64Array(T);
      for (let t = 0; t < T; t++) { // a window sees no more than two frames to each side
        const from = Math.max(t - 2, 0), to = Math.min(t + 3, T);
        let there = 0;
        for (let k = from; k < to; k++) there += blur[t][k] * a[k];
        for (let k = from; k < to; k++) up[k] += (blur[t][k] * read[t]) / Math.max(there, 1e-12);
      }
      a = a.map((value, k) => (value * up[k]) / given[k]);
    }
    found.push(a);
  }
  return found;
}

const blurs = {};

/** What frames see of amplitudes that run straight from frame to frame, and are 0 outside: T rows of T. */
function blurOf(T) {
  if (blurs[T]) return blurs[T];
  const found = Array.from({ length: T }, () => new Float64Array(T)), end = HOP * (T - 1);
  for (let frame = 0; frame < T; frame++) for (let n = 0; n < N_FFT; n++) {
    const t = n - N_FFT / 2 + HOP * frame, window = (1 - Math.cos((2 * Math.PI * n) / N_FFT)) / N_FFT;
    if (t < 0 || t > end) continue;
    const k = Math.min(Math.floor(t / HOP), T - 2), part = t / HOP - k;
    found[frame][k] += window * (1 - part);
    found[frame][k + 1] += window * part;
  }
  return (blurs[T] = found);
}

/** When each frame is played, in seconds: the first fifth of a second as ever, the rest slower, so that it lasts. */
function stretched(T, seconds, begin = 0.2) {
  const last = (HOP / RATE) * (T - 1);
  return Array.from({ length: T }, (_, k) => {
    const t = (HOP / RATE) * k;
    return t < begin || seconds <= last ? t : begin + ((t - begin) * (seconds - begin)) / (last - begin);
  });
}

/** A frequency that trembles by so many cents, and glides from another within so many seconds: (samples,). */
function curve(f0, samples, { vibrato = 0, glide = 0, start = null } = {}) {
  const from = start !== null && glide > 0 ? 1200 * Math.log2(start / f0) : 0;
  return Float64Array.from({ length: samples }, (_, i) => {
    const t = i / RATE;
    const tremble = vibrato * Math.min(t / 0.3, 1) * Math.sin(2 * Math.PI * 5.5 * t);
    return f0 * 2 ** ((tremble + (from ? from * Math.exp((-4 * t) / glide) : 0)) / 1200);
  });
}

/** The sum of harmonics with these amplitudes at these times, along a frequency (samples,). */
function addSines(amplitudes, frequency, times) {
  const samples = frequency.length, wave = new Float64Array(samples), theta = new Float64Array(samples);
  const left = new Uint16Array(samples), part = new Float64Array(samples), T = times.length;
  let highest = frequency[0], lowest = frequency[0];
  for (let i = 0, k = 0; i < samples; i++) {
    if (i) theta[i] = theta[i - 1] + (2 * Math.PI * frequency[i - 1]) / RATE;
    while (k < T - 2 && times[k + 1] <= i / RATE) k++;
    left[i] = k;
    part[i] = Math.min((i / RATE - times[k]) / (times[k + 1] - times[k]), 1);
    highest = Math.max(highest, frequency[i]);
    lowest = Math.min(lowest, frequency[i]);
  }
  const twice = theta.map((x) => 2 * Math.cos(x));
  let before = new Float64Array(samples), now = theta.map(Math.sin);
  amplitudes.forEach((a, index) => { // sin((h+1)θ) = 2 cos θ sin(hθ) - sin((h-1)θ)
    const h = index + 1, fades = h * highest > 0.47 * RATE, next = new Float64Array(samples);
    if (h * lowest >= RATE / 2) return;
    for (let i = 0; i < samples; i++) {
      let strength = a[left[i]] + part[i] * (a[left[i] + 1] - a[left[i]]);
      if (fades) strength *= Math.min(Math.max((0.5 - (h * frequency[i]) / RATE) / 0.03, 0), 1);
      wave[i] += strength * now[i];
      next[i] = twice[i] * now[i] - before[i];
    }
    before = now;
    now = next;
  });
  return Float32Array.from(wave, (x, i) => -x * Math.expm1((-3 * i) / RATE / ONSET));
}

/** What a note sounds like, in numbers: brightness, attack and decay, as in the lesson. */
function measureNote(spectrogram, f0) {
  const kept = spectrogram.T - (Math.floor(Math.floor(N_FFT / HOP) / 2) + 2); // without the fade at the end
  const a = readHarmonics(spectrogram, f0, 0).map((line) => line.subarray(0, kept).map((x) => (x < 2 * FLOOR ? 0 : x)));
  const loud = Float64Array.from({ length: kept }, (_, t) => Math.sqrt(a.reduce((sum, line) => sum + line[t] ** 2, 0)));
  const peak = Math.max(...loud, FLOOR), top = Math.max(loud.findIndex((x) => x >= 0.9 * peak), 0);
  const strength = a.map((line) => line.reduce((x, y) => x + y, 0)), all = strength.reduce((x, y) => x + y, 0);
  const mean = strength.reduce((sum, x, h) => sum + x * (h + 1), 0) / Math.max(all, FLOOR);
  const lacks = loud.subarray(0, top + 1).reduce((sum, x) => sum + 1 - x / peak, 0), rise = (1000 * HOP * lacks) / RATE;
  let dB = Array.from(loud.subarray(top), (x) => 20 * Math.log10(Math.max(x, 2 * FLOOR)));
  dB = dB.slice(0, Math.max(8, dB.filter((x) => x > dB[0] - 50).length));
  return { brightness: Math.log2(Math.max(mean, 1)), attack: Math.log2(1 + rise),
    decay: Math.log2(20 / Math.log(10) / Math.max(-slope(dB), 1)) };
}

/** dB a second of a straight line through loudnesses, one for each frame. */
function slope(dB) {
  if (dB.length < 2) return 0;
  const middle = (dB.length - 1) / 2, mean = dB.reduce((a, b) => a + b, 0) / dB.length;
  const up = dB.reduce((sum, y, i) => sum + (i - middle) * (y - mean), 0);
  return ((up / dB.reduce((sum, _, i) => sum + (i - middle) ** 2, 0)) * RATE) / HOP;
}

/** A wave as a WAV file of 16 bits. */
function wav(wave) {
  const view = new DataView(new ArrayBuffer(44 + 2 * wave.length));
  const peak = wave.reduce((a, x) => Math.max(a, Math.abs(x)), 1e-9);
  [..."RIFF    WAVEfmt "].forEach((letter, i) => view.setUint8(i, letter.charCodeAt(0)));
  [..."data"].forEach((letter, i) => view.setUint8(36 + i, letter.charCodeAt(0)));
  [[4, 36 + 2 * wave.length], [16, 16], [24, RATE], [28, 2 * RATE], [40, 2 * wave.length]].forEach(([at, value]) =>
    view.setUint32(at, value, true));
  [[20, 1], [22, 1], [32, 2], [34, 16]].forEach(([at, value]) => view.setUint16(at, value, true));
  wave.forEach((x, i) => view.setInt16(44 + 2 * i, (32000 * x) / Math.max(peak, 0.05), true));
  return new Uint8Array(view.buffer);
}
