// The page of one's own model of images: draws, under any label, and a walk from one code to another.
"use strict";

const facts = JSON.parse(byId("data").textContent), weights = unpack(facts.packed);
const prior = makePrior(facts.prior, within(weights, "prior.")), { labels } = facts, SHOWN = 12;
const random = uniform();
const decode = (code, label) => decodeImage(facts, weights, Float32Array.from(code), label);
const chosen = chooser(labels, "all, in turn", draw);
const walk = slider("on the way", { min: 0, max: 1, step: 0.05, value: 0, id: "way" }, atMostOncePerFrame(drawLarge));
let drawn = [], ends = [0, 1];
byId("walk").append(walk.box);

/** New codes, and their images; each a button that begins, or ends, a walk. */
function draw() {
  drawn = Array.from({ length: SHOWN }, (_, i) => {
    const label = chosen.value ?? i % Math.max(labels.length, 1);
    return { label, code: prior.draw(facts.shared || !labels.length ? null : label, random) };
  });
  byId("sheet").replaceChildren(...drawn.map(({ code, label }, i) => {
    const canvas = element("canvas", { class: "pixels", "aria-hidden": "true" });
    paintImage(canvas, decode(code, label), facts.shape);
    const name = `Image ${i + 1}${said(label)}`;
    const button = element("button", { type: "button", class: "tile", "aria-label": name }, canvas);
    if (labels.length) button.append(element("bdi", { dir: "auto" }, labels[label]));
    button.addEventListener("click", () => goTo(i));
    return button;
  }));
  ends = [0, 1];
  walk.set(0);
  drawLarge();
  say(`${SHOWN} images are drawn.`);
}

const said = (label) => (labels.length ? `, ${labels[label]}` : "");

/** The walk leads from the image that was chosen before to this one. */
function goTo(i) {
  ends = [walk.value < 0.5 ? ends[0] : ends[1], i];
  if (ends[0] === i) ends = [i, (i + 1) % drawn.length];
  walk.set(ends[1] === i ? 1 : 0);
  drawLarge();
  say(`Image ${i + 1} is chosen. The slider leads from image ${ends[0] + 1} to image ${ends[1] + 1}.`);
}

function drawLarge() {
  const [a, b] = ends.map((i) => drawn[i]), t = walk.value;
  const code = a.code.map((value, k) => (1 - t) * value + t * b.code[k]);
  const [from, to] = [decode(code, a.label), decode(code, b.label)]; // where labels differ, from the one to the other
  paintImage(byId("large"), a.label === b.label ? from : from.map((x, k) => (1 - t) * x + t * to[k]), facts.shape);
  [...byId("sheet").children].forEach((tile, i) => tile.classList.toggle("chosen", ends.includes(i)));
}

byId("surprise").addEventListener("click", draw);
byId("save").addEventListener("click", () => byId("large").toBlob((file) => download(file, "image.png", "image/png")));
draw();
window.model = { decode, prior, get drawn() { return drawn; } };
document.body.dataset.ready = Math.round(performance.now());
