// A wave from the magnitudes of a spectrogram alone: phases are guessed (Griffin and Lim, 1984, with the momentum of
// Perraudin, Balazs and Søndergaard, 2013).
"use strict";

const ROUNDS = 32, MOMENTUM = 0.99;
const WINDOW = Float64Array.from({ length: N_FFT }, (_, n) => (1 - Math.cos((2 * Math.PI * n) / N_FFT)) / 2);
const TURNS = Float64Array.from({ length: N_FFT }, (_, k) => // cosines, and then sines
  (k < N_FFT / 2 ? Math.cos((2 * Math.PI * k) / N_FFT) : Math.sin((2 * Math.PI * (k - N_FFT / 2)) / N_FFT)));

/** The Fourier transform of N_FFT complex numbers, in place (Cooley and Tukey, 1965); sign 1 for the way back. */
function fft(re, im, sign) {
  const n = N_FFT;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j], im[i], im[j]] = [re[j], re[i], im[j], im[i]];
  }
  for (let half = 1; half < n; half *= 2) {
    const step = n / (2 * half);
    for (let start = 0; start < n; start += 2 * half) for (let k = 0; k < half; k++) {
      const a = TURNS[k * step], b = sign * TURNS[n / 2 + k * step], i = start + k, j = i + half;
      const u = re[j] * a - im[j] * b, v = re[j] * b + im[j] * a;
      [re[j], im[j]] = [re[i] - u, im[i] - v];
      re[i] += u;
      im[i] += v;
    }
  }
}

/** Spectra (T rows of F) to the nearest wave (samples,), and back. */
function toWave(re, im, T, samples) {
  const F = N_FFT / 2 + 1, wave = new Float64Array(samples + N_FFT), weight = new Float64Array(samples + N_FFT);
  const a = new Float64Array(N_FFT), b = new Float64Array(N_FFT);
  for (let t = 0; t < T; t++) {
    for (let k = 0; k < N_FFT; k++) { // a real wave: what is above half the rate mirrors what is below
      const f = k < F ? k : N_FFT - k, sign = k < F ? 1 : -1, ends = f === 0 || f === F - 1;
      [a[k], b[k]] = [re[t * F + f], ends ? 0 : sign * im[t * F + f]];
    }
    fft(a, b, 1);
    for (let n = 0; n < N_FFT; n++) {
      wave[t * HOP + n] += (WINDOW[n] * a[n]) / 4; // magnitudes count a sine of amplitude 1 as 1
      weight[t * HOP + n] += WINDOW[n] ** 2;
    }
  }
  return wave.slice(N_FFT / 2, N_FFT / 2 + samples).map((x, i) => x / Math.max(weight[N_FFT / 2 + i], 1e-11));
}

function toSpectra(wave, T, re, im) {
  const F = N_FFT / 2 + 1, a = new Float64Array(N_FFT), b = new Float64Array(N_FFT);
  for (let t = 0; t < T; t++) {
    for (let n = 0; n < N_FFT; n++) [a[n], b[n]] = [(wave[t * HOP + n - N_FFT / 2] ?? 0) * WINDOW[n], 0];
    fft(a, b, -1);
    for (let f = 0; f < F; f++) [re[t * F + f], im[t * F + f]] = [(a[f] * 4) / N_FFT, (b[f] * 4) / N_FFT];
  }
}

/** Log-magnitudes {data (F, T), F, T} as a wave whose peak is 0.9. */
function guessWave({ data, F, T }, random) {
  const samples = (T - 1) * HOP, size = F * T, magnitude = new Float64Array(size);
  for (let t = 0; t < T; t++) for (let f = 0; f < F; f++) {
    const x = data[f * T + t];
    magnitude[t * F + f] = x > Math.log(FLOOR) + 0.1 ? Math.exp(Math.min(x, 3)) : 0;
  }
  const [re, im, oldRe, oldIm, newRe, newIm] = Array.from({ length: 6 }, () => new Float64Array(size));
  const back = MOMENTUM / (1 + MOMENTUM);
  for (let i = 0; i < size; i++) {
    const angle = 2 * Math.PI * random();
    [re[i], im[i]] = [magnitude[i] * Math.cos(angle), magnitude[i] * Math.sin(angle)];
  }
  for (let round = 0; round < ROUNDS; round++) {
    toSpectra(toWave(re, im, T, samples), T, newRe, newIm);
    for (let i = 0; i < size; i++) {
      const x = newRe[i] - back * oldRe[i], y = newIm[i] - back * oldIm[i], long = Math.max(Math.hypot(x, y), 1e-16);
      [re[i], im[i]] = [(magnitude[i] * x) / long, (magnitude[i] * y) / long];
    }
    oldRe.set(newRe);
    oldIm.set(newIm);
  }
  const wave = toWave(re, im, T, samples), peak = wave.reduce((top, x) => Math.max(top, Math.abs(x)), 1e-5);
  return Float32Array.from(wave, (x) => (0.9 * x) / peak);
}
