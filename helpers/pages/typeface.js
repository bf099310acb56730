// The designer of typefaces: a code of 16 numbers, decoded under 62 characters.
"use strict";

const facts = JSON.parse(byId("data").textContent), weights = unpack(facts.packed);
const decoder = within(weights, "decoder."), prior = makePrior(facts.prior, within(weights, "prior."));
const decode = (code) => decodeAlphabet(decoder, Float32Array.from(code));
let alphabet = null, fineOf = {};

const designer = new Designer(facts, prior, show, () => measure(alphabet), byId("line"));
const LONG = 200; // characters of the text that are drawn

function show(code) {
  alphabet = mend(decode(code));
  fineOf = {};
  drawSheet();
  drawText();
}

/** A canvas as wide as its place, this high in its pixels, empty; what is drawn on has the colour of text. */
function blank(canvas, height) {
  const wide = Math.round(canvas.clientWidth * sharpness());
  canvas.width = wide;
  canvas.height = height;
  canvas.style.height = `${height / sharpness()}px`;
  return canvas.getContext("2d");
}

const sharpness = () => Math.min(window.devicePixelRatio || 1, 2);
const inkColour = () => getComputedStyle(document.body).color.match(/\d+/g).map(Number);

/** A glyph as a picture: its field, `times` as fine, cut at its outline. */
function picture(character, times) {
  const large = enlarge(fieldOf(alphabet, character), times), size = SIDE * times, [r, g, b] = inkColour();
  const image = new ImageData(size, size);
  for (let i = 0; i < large.length; i++) image.data.set([r, g, b, 255 * ink(times * large[i])], 4 * i);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function drawSheet() {
  const canvas = byId("sheet"), columns = canvas.clientWidth < 480 ? 9 : 13;
  const cell = (canvas.clientWidth * sharpness()) / columns, rows = Math.ceil(CHARACTERS.length / columns);
  const times = Math.max(2, Math.ceil(cell / SIDE));
  const pen = blank(canvas, Math.ceil(rows * cell));
  [...CHARACTERS].forEach((k, i) =>
    pen.drawImage(picture(k, times), (i % columns) * cell, Math.floor(i / columns) * cell, cell, cell));
}

/** The text, broken into lines where it must be. Signs that the font lacks are left out, and named. */
function drawText() {
  const typed = [...byId("text").value.normalize("NFC")], text = typed.slice(0, LONG);
  const canvas = byId("line"), times = Math.round((canvas.clientWidth < 480 ? 2 : 3) * sharpness());
  const slant = measure(alphabet).slant, wide = (canvas.clientWidth * sharpness()) / times - 2, lines = [[]];
  const all = [...new Set(text)], known = all.filter((k) => CHARACTERS.includes(k));
  for (const k of known) fineOf[k] ??= refine(fieldOf(alphabet, k));
  const strokes = strokesOf(), room = {};
  for (const k of known) room[k] = bearings(fineOf[k], k < "a" || k > "z", strokes, slant);
  const boxes = new Map(marks(strokes, slant).map(([k, polygons, width]) => [k, { polygons, width }]));
  for (const [k, { width }] of boxes) room[k] = [0, width];
  tellWhatIsLeft(typed, all.filter((k) => !(k in room || /\s/.test(k))));
  let x = 0;
  for (const word of text.filter((k) => k in room || /\s/.test(k)).join("").split(/\s+/).filter(Boolean)) {
    const long = [...word].reduce((sum, k) => sum + room[k][1] - room[k][0], 0);
    if (x && x + long > wide) (lines.push([]), (x = 0));
    for (const k of word) {
      const next = room[k][1] - room[k][0];
      if (x + next > wide) (lines.push([]), (x = 0));
      lines[lines.length - 1].push([k, x - room[k][0]]);
      x += next;
    }
    x += 0.3 * CAPITAL;
  }
  const pen = blank(canvas, lines.length * SIDE * times), pictures = {};
  lines.forEach((line, i) => line.forEach(([k, at]) => {
    if (boxes.has(k)) return drawMark(pen, boxes.get(k).polygons, at + 1, i * SIDE + BASELINE, times);
    return pen.drawImage((pictures[k] ??= picture(k, times)), Math.round((at + 1) * times), i * SIDE * times);
  }));
  canvas.setAttribute("aria-label", `Your text in this typeface: ${byId("text").value}`);
}

/** A sign that is put together of polygons, as in the font file; x, y: where it begins, on its baseline. */
function drawMark(pen, polygons, x, y, times) {
  pen.fillStyle = `rgb(${inkColour().join(" ")})`;
  for (const corners of polygons) {
    pen.beginPath();
    for (const [u, v] of corners) pen.lineTo((x + u) * times, (y - v) * times);
    pen.fill();
  }
}

/** What of the text is not drawn, in a sentence or two; nothing, where all is. */
function tellWhatIsLeft(typed, unknown) {
  const some = unknown.slice(0, 20).join(" ") + (unknown.length > 20 ? " …" : "");
  const said = [unknown.length ? `Left out, since the typeface lacks them: ${some}` : "",
    typed.length > LONG ? `Only the first ${LONG} of ${typed.length} characters are drawn.` : ""];
  const sentence = said.filter(Boolean).join(" ");
  if (byId("said").textContent !== sentence) say(sentence); // once, and not with each move of a slider
}

/** The strokes of the alphabet that is shown, measured once. */
function strokesOf() {
  if (!fineOf.strokes) {
    for (const k of "xzIlihnmHetTo") fineOf[k] ??= refine(fieldOf(alphabet, k));
    fineOf.strokes = measureStrokes(fineOf);
  }
  return fineOf.strokes;
}

function save() {
  const name = byId("name").value.trim(), wrong = wrongName(name);
  if (wrong) return say(wrong, "saved");
  try {
    const file = `${name.replaceAll(" ", "-")}.ttf`;
    download(makeFont(alphabet, name), file, "font/ttf");
    return say(`${file} is in your downloads; open it to install the typeface.`, "saved");
  } catch (error) {
    return say(error.message, "saved");
  }
}

byId("text").addEventListener("input", drawText);
byId("save").addEventListener("click", save);
window.addEventListener("resize", atMostOncePerFrame(() => (drawSheet(), drawText())));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (drawSheet(), drawText()));
show(designer.code);
say(marks(strokesOf(), 0).map(([k]) => k).join(" "), "marks");
window.model = { decode, mend, measure, prior, designer, makeFont, enlarge, get alphabet() { return alphabet; } };
document.body.dataset.ready = Math.round(performance.now());
