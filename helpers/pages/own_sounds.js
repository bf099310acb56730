// The page of one's own model of sounds: spectrograms, each a button that plays it.
"use strict";

const facts = JSON.parse(byId("data").textContent), weights = unpack(facts.packed), { labels } = facts, SHOWN = 8;
const prior = makePrior(facts.prior, within(weights, "prior.")), random = uniform();
const chosen = chooser(labels, "all, in turn", draw);
let drawn = [], context = null, source = null, last = null;

/** The decoder: the label's average, and spectra whose strengths the code says: {data (F, T), F, T}. */
function decode(code, label) {
  const gains = gainsOf(weights, Float32Array.from(code), label), { F, T } = facts, R = gains.length / T;
  const data = Float32Array.from(row(weights.average, label)), mine = row(weights.own, label);
  for (let r = 0; r < R; r++) for (let f = 0; f < F; f++) {
    const strength = weights.spread.data[f] * (weights.spectra.data[r * F + f] + mine[r * F + f]);
    for (let t = 0; t < T; t++) data[f * T + t] += strength * gains[r * T + t];
  }
  return { data, F, T };
}

function draw() {
  drawn = Array.from({ length: SHOWN }, (_, i) => {
    const label = chosen.value ?? i % Math.max(labels.length, 1);
    return { label, code: prior.draw(facts.shared || !labels.length ? null : label, random) };
  });
  byId("sheet").replaceChildren(...drawn.map(({ code, label }, i) => {
    const canvas = element("canvas", { class: "sound", "aria-hidden": "true" }), sound = decode(code, label);
    paint(canvas, sound);
    const name = `Play sound ${i + 1}${labels.length ? `, ${labels[label]}` : ""}`;
    const button = element("button", { type: "button", class: "tile", "aria-label": name }, canvas);
    button.append(element("bdi", { dir: "auto" }, labels.length ? labels[label] : `sound ${i + 1}`));
    button.addEventListener("click", () => play((drawn[i].wave ??= guessWave(sound, random))));
    return button;
  }));
  say(`${SHOWN} sounds are made.`);
}

function paint(canvas, { data, F, T }) {
  const image = new ImageData(T, 128);
  for (let y = 0; y < 128; y++) for (let t = 0; t < T; t++) { // by octaves, as frequencies are heard
    const f = Math.floor(2 * ((F - 1) / 2) ** (1 - y / 127));
    tint(image.data, 4 * (y * T + t), data[f * T + t] / 6.9 + 1);
  }
  [canvas.width, canvas.height] = [T, 128];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function play(wave) {
  context ??= new AudioContext();
  context.resume();
  source?.stop();
  const buffer = context.createBuffer(1, wave.length, RATE);
  buffer.copyToChannel(wave, 0);
  source = context.createBufferSource();
  source.buffer = buffer;
  source.connect(context.destination);
  source.start();
  last = window.model.last = wave;
}

byId("surprise").addEventListener("click", draw);
byId("save").addEventListener("click", () => {
  if (!last) return say("Choose a sound first.");
  download(wav(last), "sound.wav", "audio/wav");
  return say("sound.wav is in your downloads.");
});
draw();
window.model = { decode, prior, guessWave: (sound) => guessWave(sound, random), last: null };
document.body.dataset.ready = Math.round(performance.now());
