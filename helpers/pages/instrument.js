// The designer of instruments: a code of eight numbers, decoded under 36 pitches, and played by adding up harmonics.
"use strict";

const facts = JSON.parse(byId("data").textContent), weights = unpack(facts.packed);
const { first, pitches } = facts;
const decoder = within(weights, "decoder."), prior = makePrior(facts.prior, within(weights, "prior."));
const SHOWN = [60, 62, 64, 65, 67, 69, 71, 72], MIDDLE_C = 60; // a scale
const NAMES = "C C♯ D D♯ E F F♯ G G♯ A A♯ B".split(" ");
const LETTERS = { KeyZ: 0, KeyS: 1, KeyX: 2, KeyD: 3, KeyC: 4, KeyV: 5, KeyG: 6, KeyB: 7, KeyH: 8, KeyN: 9, KeyJ: 10,
  KeyM: 11, KeyQ: 12, Digit2: 13, KeyW: 14, Digit3: 15, KeyE: 16, KeyR: 17, Digit5: 18, KeyT: 19, Digit6: 20, KeyY: 21,
  Digit7: 22, KeyU: 23, KeyI: 24, Digit9: 25, KeyO: 26, Digit0: 27, KeyP: 28 };
let notes = {}, harmonics = {}, sound = null, before = null;
const sounding = new Map();

const vibrato = slider("vibrato, cents", { min: 0, max: 60, step: 5, value: 0, id: "vibrato" }, () => {});
const glide = slider("glide, seconds", { min: 0, max: 0.5, step: 0.1, value: 0, id: "glide" }, () => {});
const long = slider("length, seconds", { min: 1, max: 4, step: 0.5, value: 1, id: "long" }, () => {});
byId("playing").append(vibrato.box, glide.box, long.box);
const designer = new Designer(facts, prior, show, () => measureNote(note(MIDDLE_C), hertz(MIDDLE_C)),
  byId("sheet"));

function show() {
  notes = {};
  harmonics = {};
  drawSheet();
}

const decode = (code, pitch) => decodeNote(decoder, Float32Array.from(code), pitch - first);
const note = (pitch) => (notes[pitch] ??= decode(designer.code, pitch));

/** The samples of one note, at 16 kHz. */
function wave(pitch, seconds = long.value, start = null) {
  const a = (harmonics[pitch] ??= readHarmonics(note(pitch), hertz(pitch)));
  const moves = { vibrato: vibrato.value, glide: glide.value, start: start === null ? null : hertz(start) };
  return addSines(a, curve(hertz(pitch), Math.round(seconds * RATE), moves), stretched(note(pitch).T, seconds));
}

/** The place where sound comes out; browsers allow it after a first touch. */
function output() {
  if (!sound) {
    const context = new AudioContext(), limit = context.createDynamicsCompressor();
    limit.connect(context.destination);
    sound = { context, limit };
  }
  sound.context.resume();
  return sound;
}

/** Samples begin to sound: {source, loudness}. */
function begin(samples) {
  const { context, limit } = output(), buffer = context.createBuffer(1, samples.length, RATE);
  const source = context.createBufferSource(), loudness = context.createGain();
  buffer.copyToChannel(samples, 0);
  source.buffer = buffer;
  loudness.gain.value = 0.5;
  source.connect(loudness).connect(limit);
  source.start();
  return { source, loudness };
}

function press(pitch) {
  if (sounding.has(pitch)) return;
  const begun = begin(wave(pitch, long.value, before));
  sounding.set(pitch, begun);
  before = pitch;
  window.model.last = { pitch, samples: begun.source.buffer.getChannelData(0) };
  keyOf(pitch).classList.add("down");
}

function release(pitch) {
  const found = sounding.get(pitch);
  if (!found) return;
  sounding.delete(pitch);
  keyOf(pitch).classList.remove("down");
  const now = sound.context.currentTime;
  found.loudness.gain.setTargetAtTime(0, now, 0.06); // dies away, and does not click
  found.source.stop(now + 0.5);
}

const keyOf = (pitch) => byId(`key-${pitch}`);
const nameOf = (pitch) => `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;

function drawKeys() {
  const letters = Object.fromEntries(Object.entries(LETTERS).map(([code, k]) => [first + k, code.slice(-1)]));
  for (let octave = first; octave < first + pitches; octave += 12) {
    const group = element("div", { class: "octave" });
    let white = 0;
    for (let pitch = octave; pitch < octave + 12; pitch++) {
      const black = NAMES[pitch % 12].length > 1, letter = letters[pitch] || "";
      const key = element("button", { type: "button", id: `key-${pitch}`, class: black ? "key black" : "key white",
        tabindex: pitch === MIDDLE_C ? 0 : -1, "aria-label": nameOf(pitch).replace("♯", " sharp ") +
        (letter ? `, letter ${letter}` : "") }, element("span", { "aria-hidden": "true" }, letter));
      key.style.setProperty("--place", black ? white - 0.32 : white++);
      listen(key, pitch);
      group.append(key);
    }
    byId("keys").append(group);
  }
}

function listen(key, pitch) {
  key.addEventListener("pointerdown", (event) => {
    if (key.hasPointerCapture?.(event.pointerId)) key.releasePointerCapture(event.pointerId);
    press(pitch);
  });
  for (const end of ["pointerup", "pointerleave", "pointercancel"]) key.addEventListener(end, () => release(pitch));
  key.addEventListener("pointerenter", (event) => event.buttons && press(pitch)); // sliding over the keys
  key.addEventListener("click", (event) => { // by Enter or Space
    if (event.detail) return;
    press(pitch);
    setTimeout(() => release(pitch), 600);
  });
  key.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 12, ArrowDown: -12 }[event.key];
    const next = step && keyOf(pitch + step);
    if (!next) return;
    event.preventDefault();
    key.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

function letterOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return null;
  return event.code in LETTERS ? first + LETTERS[event.code] : null;
}

/** A tune: each note a step of the scale, and beats of 0.3 seconds. */
function tune() {
  const places = [], beat = 0.3;
  let at = 0, last = null;
  for (const [pitch, beats] of facts.tune) {
    if (pitch !== null) {
      places.push([Math.round(at * RATE), wave(pitch, beats * beat + 0.15, last)]);
      last = pitch;
    }
    at += beats * beat;
  }
  const all = new Float32Array(Math.round((at + 1) * RATE));
  for (const [start, samples] of places) samples.forEach((x, i) => (all[start + i] += fade(i, samples.length) * x));
  return all;
}

const fade = (i, length) => Math.min(1, (length - i) / (0.05 * RATE));

/** The tune begins, or, while it plays, stops. */
function playTune() {
  const now = sounding.get("tune");
  if (now) return now.source.stop();
  const begun = begin(tune());
  sounding.set("tune", begun);
  byId("tune").textContent = "Stop the tune";
  begun.source.addEventListener("ended", () => {
    sounding.delete("tune");
    byId("tune").textContent = "Play a tune";
  });
  return undefined;
}

function drawSheet() {
  const canvas = byId("sheet"), found = SHOWN.map(note), { T } = found[0], high = 256;
  const image = new ImageData(SHOWN.length * T, high);
  found.forEach(({ data }, n) => {
    for (let f = 0; f < high; f++) for (let t = 0; t < T; t++) {
      tint(image.data, 4 * ((high - 1 - f) * image.width + n * T + t), (data[f * T + t] + 7) / 6.5);
    }
  });
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

drawKeys();
show();
window.addEventListener("keydown", (event) => {
  const pitch = letterOf(event);
  if (pitch !== null && !event.repeat) press(pitch);
});
window.addEventListener("keyup", (event) => event.code in LETTERS && release(first + LETTERS[event.code]));
window.addEventListener("blur", () => [...sounding.keys()].filter(Number.isFinite).forEach(release));
byId("tune").addEventListener("click", playTune);
byId("save").addEventListener("click", () => {
  download(wav(tune()), "my-instrument.wav", "audio/wav");
  say("my-instrument.wav is in your downloads.");
});
window.model = { decode, measure: measureNote, readHarmonics, prior, designer, wave, hertz, last: null,
  get state() { return sound?.context.state; } };
document.body.dataset.ready = Math.round(performance.now());
