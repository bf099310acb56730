// A font file out of an alphabet: letters spaced by their white, and the tables that a TrueType font must have.
"use strict";

const UNITS = 1000, SCALE = 700 / CAPITAL; // to the em, and to a pixel: capitals are 700 high
const NAME = /^[A-Za-z][A-Za-z0-9]*(?:[ -][A-Za-z0-9]+)*$/, LONGEST = 31;
const MADE = 2082844800 + 1767225600; // 1 January 2026, in seconds since 1904: the same letters give the same bytes

/** What is wrong with the name of a font, in a sentence; nothing if it can be used. */
function wrongName(name) {
  if (name.length > LONGEST) return `The name has ${name.length} characters; programs cut names after ${LONGEST}.`;
  if (NAME.test(name)) return "";
  return "A font's name has letters from A to Z, digits, and single spaces or hyphens between; begin with a letter.";
}

/** The bytes of a font. alphabet: (62, 784) distances, mended. Throws an Error, in a sentence, if a letter is empty. */
function makeFont(alphabet, name) {
  const fine = {}, outlines = {}, slant = measure(alphabet).slant;
  for (const k of CHARACTERS) {
    fine[k] = refine(fieldOf(alphabet, k));
    outlines[k] = zeroLines(fine[k]).map(trace);
  }
  const empty = [...CHARACTERS].filter((k) => !outlines[k].length).join("");
  if (empty) throw new Error(`There is no ink in ${empty}; a font needs all letters. Move a slider, and try again.`);
  const strokes = measureStrokes(fine);
  const base = level(outlines, "EFHIKLMNTXZhiklmnrxz", BASELINE);
  const capital = level(outlines, "BDEFHIKLMNPRTUVWXYZ", BASELINE - CAPITAL);
  const small = level(outlines, "imnruvwxyz", BASELINE - strokes.xHeight);
  for (const k of CHARACTERS) for (const nodes of outlines[k]) align(nodes, [base, capital, small]);
  const glyphs = [{ code: null, width: 560, contours: box() }, { code: 32, width: 0, contours: [] }];
  for (const k of CHARACTERS) {
    const tall = k < "a" || k > "z", [begin, end] = bearings(fine[k], tall, strokes, slant);
    const contours = outlines[k].map((nodes) => nodes.map(({ x, y, on }) => (
      { x: Math.round((x - begin) * SCALE), y: Math.round((base - y) * SCALE), on })));
    glyphs.push({ code: k.charCodeAt(0), width: Math.round((end - begin) * SCALE), contours });
  }
  for (const [k, polygons, width] of marks(strokes, slant)) {
    const contours = polygons.map((corners) => corners.map(([x, y]) => (
      { x: Math.round(x * SCALE), y: Math.round(y * SCALE), on: true })));
    glyphs.push({ code: k.charCodeAt(0), width: Math.round(width * SCALE), contours });
  }
  glyphs[1].width = Math.round(glyphs[2 + CHARACTERS.indexOf("n")].width / 2);
  glyphs.sort((a, b) => (a.code ?? -1) - (b.code ?? -1));
  const heights = { capital: Math.round((base - capital) * SCALE), small: Math.round((base - small) * SCALE) };
  return tables(glyphs, name, slant, heights, strokes);
}

/** How thick strokes are, how high small letters, and how much white an n holds, in pixels. */
function measureStrokes(fine) {
  const size = SIDE * FINE, median = (values, otherwise) =>
    (values.length ? values.sort((a, b) => a - b)[Math.floor(values.length / 2)] : otherwise);
  const runs = (line) => {
    const found = [];
    line.forEach((value, i) => {
      if (value > 0 && !(line[i - 1] > 0)) found.push([i, i]);
      if (value > 0) found[found.length - 1][1] = i + 1;
    });
    return found;
  };
  const rowOf = (field, up) => [...field.subarray(Math.round((BASELINE - up) * FINE) * size).subarray(0, size)];
  const tops = [..."xz"].map((k) => BASELINE - Math.floor(fine[k].findIndex((value) => value > 0) / size) / FINE);
  const xHeight = Math.min(Math.max((tops[0] + tops[1]) / 2, 6), CAPITAL);
  const across = [..."Ilihnm"].flatMap((k) => runs(rowOf(fine[k], 0.45 * xHeight)).slice(0, 1)).map(([a, b]) => b - a);
  const down = [..."HeztTo"].flatMap((k) => {
    const used = [...Array(size).keys()].filter((x) => fine[k].some((value, i) => i % size === x && value > 0));
    return runs([...Array(size).keys()].map((y) => fine[k][y * size + used[used.length >> 1]])).slice(0, 1);
  }).map(([a, b]) => b - a);
  const n = runs(rowOf(fine.n, 0.45 * xHeight)), clip = (x, low, high) => Math.min(Math.max(x, low), high);
  const counter = n.length > 1 ? (n[1][0] - n[0][1]) / FINE : 0.5 * xHeight;
  return { xHeight, stem: clip(median(across, 8) / FINE, 0.7, 6), bar: clip(median(down, 8) / FINE, 0.6, 5),
    counter: clip(counter, 2.5, 9) };
}

/** Where a letter's room begins and ends, in pixels: as much mean white on each side as beside a straight stroke. */
function bearings(fine, tall, strokes, slant) {
  const size = SIDE * FINE, high = tall ? CAPITAL : strokes.xHeight, target = 0.31 * strokes.counter;
  const left = [], right = [];
  for (let up = -5.875; up < 20; up += 0.25) {
    const y = Math.floor((BASELINE - up) * FINE);
    if (y < 0 || y >= size) continue;
    const line = fine.subarray(y * size, (y + 1) * size), first = line.findIndex((value) => value > 0);
    if (first < 0) {
      if (up > 0 && up < high) left.push([Infinity, true]), right.push([Infinity, true]);
      continue;
    }
    const lean = slant * (up - CAPITAL / 2), zone = up > 0 && up < high;
    left.push([first / FINE - lean, zone]);
    right.push([-((line.findLastIndex((value) => value > 0) + 1) / FINE - lean), zone]);
  }
  const ends = [left, right].map((edge) => {
    const inside = edge.filter(([, zone]) => zone).map(([at]) => at), all = Math.min(...edge.map(([at]) => at));
    const near = Number.isFinite(Math.min(...inside)) ? Math.min(...inside) : all;
    const white = inside.reduce((sum, at) => sum + Math.min(Math.max(at - near, 0), 0.15 * CAPITAL), 0) / inside.length;
    return Math.min(near - Math.max((tall ? 1.12 : 1) * target - white, 0.3 * target), all + 1.3);
  });
  return [ends[0], -ends[1]];
}

/** Simple punctuation out of boxes, in pixels above the baseline: [mark, polygons, width] each. */
function marks({ stem, bar, xHeight, counter }, slant) {
  const dot = 1.2 * stem, side = Math.max(0.31 * counter, 0.6), begin = side, wide = dot + 2 * side;
  const shape = (...corners) => corners.map(([x, y]) => [x + slant * (y - CAPITAL / 2), y]);
  const rect = (x, y, w, h) => shape([x, y], [x, y + h], [x + w, y + h], [x + w, y]);
  const point = (y) => rect(begin, y, dot, dot);
  const comma = (y) => shape([begin, y], [begin, y + dot], [begin + dot, y + dot], [begin + dot, y],
    [begin + 0.3 * dot, y - 0.9 * dot]);
  const wedge = (x, low, high, wide, narrow) => shape([x + (wide - narrow) / 2, low], [x, high], [x + wide, high],
    [x + (wide + narrow) / 2, low]);
  const tick = (x) => wedge(x, 0.68 * CAPITAL, CAPITAL + 0.5, stem, 0.6 * stem);
  const hyphen = 0.5 * xHeight;
  return [[".", [point(0)], wide], [",", [comma(0)], wide], [":", [point(0), point(xHeight - dot)], wide],
    [";", [comma(0), point(xHeight - dot)], wide],
    ["!", [point(0), wedge(begin, 1.9 * dot, CAPITAL, dot, dot / 2)], wide],
    ["'", [tick(side)], stem + 2 * side],
    ['"', [tick(side), tick(side + 1.8 * stem)], 2.8 * stem + 2 * side],
    ["-", [rect(side, 0.5 * xHeight - bar / 2, hyphen, bar)], hyphen + 2 * side]];
}

/** The box that stands for characters that the font lacks. */
function box() {
  const ring = (...corners) => corners.map(([x, y]) => ({ x, y, on: true }));
  return [ring([60, 0], [60, 700], [500, 700], [500, 0]), ring([110, 50], [450, 50], [450, 650], [110, 650])];
}

/** Numbers of 1, 2 or 4 bytes, the larger first, one after another. */
class Bytes {
  constructor() {
    this.found = [];
  }

  put(size, ...values) {
    for (const value of values) for (let k = size - 1; k >= 0; k--) this.found.push(Math.floor(value / 256 ** k) & 255);
    return this;
  }

  get data() {
    return Uint8Array.from(this.found);
  }
}

function tables(glyphs, name, slant, heights, strokes) {
  const glyf = new Bytes(), loca = new Bytes(), hmtx = new Bytes(), all = [];
  let mostPoints = 0, mostContours = 0;
  for (const glyph of glyphs) {
    loca.put(4, glyph.found = glyf.found.length);
    const points = glyph.contours.flat();
    const ends = [Math.min, Math.max].flatMap((f) => [f(...points.map((p) => p.x)), f(...points.map((p) => p.y))]);
    glyph.box = points.length ? ends : [0, 0, 0, 0];
    hmtx.put(2, glyph.width, glyph.box[0]);
    if (!points.length) continue;
    all.push(glyph);
    [mostPoints, mostContours] = [Math.max(mostPoints, points.length), Math.max(mostContours, glyph.contours.length)];
    glyf.put(2, glyph.contours.length, ...glyph.box);
    let end = -1;
    for (const contour of glyph.contours) glyf.put(2, (end += contour.length));
    glyf.put(2, 0);
    glyf.put(1, ...points.map((p) => (p.on ? 1 : 0)));
    for (const axis of ["x", "y"]) glyf.put(2, ...points.map((p, i) => p[axis] - (i ? points[i - 1][axis] : 0)));
    while (glyf.found.length % 4) glyf.put(1, 0);
  }
  loca.put(4, glyf.found.length);
  const [xMin, yMin] = [0, 1].map((k) => Math.min(...all.map((g) => g.box[k])));
  const [xMax, yMax] = [2, 3].map((k) => Math.max(...all.map((g) => g.box[k])));
  const up = Math.round((BASELINE - 0.5) * SCALE), down = -Math.round((SIDE - BASELINE - 0.5) * SCALE);
  const widest = Math.max(...glyphs.map((g) => g.width)), angle = Math.abs(slant) > 0.03 ? slant : 0;
  const head = new Bytes().put(4, 0x10000, 0x10000, 0, 0x5f0f3cf5).put(2, 0b1011, UNITS);
  head.put(4, 0, MADE, 0, MADE).put(2, xMin, yMin, xMax, yMax, 0, 8, 2, 1, 0);
  const hhea = new Bytes().put(4, 0x10000).put(2, up, down, 90, widest, Math.min(...all.map((g) => g.box[0])),
    Math.min(...all.map((g) => g.width - g.box[2])), xMax, 1000, Math.round(1000 * angle), ...Array(6).fill(0),
    glyphs.length);
  const maxp = new Bytes().put(4, 0x10000).put(2, glyphs.length, mostPoints, mostContours, 0, 0, 2)
    .put(2, ...Array(8).fill(0));
  const stem = strokes.stem / CAPITAL, weights = [[0.08, 300], [0.155, 400], [0.18, 600], [0.24, 700], [9, 800]];
  const weight = weights.find(([most]) => stem < most)[1];
  const coded = glyphs.filter((g) => g.code !== null), last = coded[coded.length - 1].code;
  const average = Math.round(glyphs.reduce((sum, g) => sum + g.width, 0) / glyphs.length);
  const os2 = new Bytes().put(2, 4, average, weight, 5, 0, 650, 700, 0, 140, 650, 700, 0, 480,
    Math.round(strokes.bar * SCALE), Math.round(0.55 * strokes.xHeight * SCALE), 0).put(1, ...Array(10).fill(0));
  os2.put(4, 1, 0, 0, 0).put(1, 32, 32, 32, 32).put(2, 0b11000000, coded[0].code, last, up, down, 90);
  os2.put(2, Math.max(up, yMax), Math.max(-down, -yMin)).put(4, 1, 0).put(2, heights.small, heights.capital, 0, 32, 1);
  const post = new Bytes().put(4, 0x30000, Math.round((-Math.atan(angle) * 180 * 65536) / Math.PI)).put(2, -130,
    Math.max(20, Math.round(strokes.bar * SCALE))).put(4, 0, 0, 0, 0, 0);
  const made = { "OS/2": os2, cmap: characterMap(glyphs), glyf, head, hhea, hmtx, loca, maxp,
    name: names(name, glyf.data), post };
  return assemble(Object.fromEntries(Object.entries(made).map(([tag, bytes]) => [tag, bytes.data])));
}

/** Which glyph a character has: format 4, a segment for each stretch of characters one after another. */
function characterMap(glyphs) {
  const segments = [];
  glyphs.forEach(({ code }, i) => {
    if (code === null) return;
    const last = segments[segments.length - 1];
    if (last && last.end === code - 1) last.end = code;
    else segments.push({ start: code, end: code, delta: i - code });
  });
  segments.push({ start: 0xffff, end: 0xffff, delta: 1 });
  const n = segments.length, power = Math.floor(Math.log2(n)), table = new Bytes();
  table.put(2, 4, 16 + 8 * n, 0, 2 * n, 2 ** (power + 1), power, 2 * n - 2 ** (power + 1));
  table.put(2, ...segments.map((s) => s.end), 0);
  table.put(2, ...segments.map((s) => s.start), ...segments.map((s) => s.delta), ...segments.map(() => 0));
  return new Bytes().put(2, 0, 1, 3, 1).put(4, 12).put(1, ...table.found);
}

/** What the font is called, for programs of today: in UTF-16, English. */
function names(name, outlines) {
  const postscript = name.replaceAll(" ", "") + "-Regular", mark = checksum(outlines).toString(16).padStart(8, "0");
  const unique = `1.000;${postscript};${mark}`;
  const said = [[1, name], [2, "Regular"], [3, unique], [4, name], [5, "Version 1.000"], [6, postscript]];
  const records = new Bytes().put(2, 0, said.length, 6 + 12 * said.length), text = new Bytes();
  for (const [id, words] of said) {
    records.put(2, 3, 1, 0x409, id, 2 * words.length, text.found.length);
    text.put(2, ...[...words].map((letter) => letter.charCodeAt(0)));
  }
  return records.put(1, ...text.found);
}

/** The sum of a table's numbers of four bytes. */
function checksum(data) {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum = (sum + (data[i] << (24 - 8 * (i % 4)))) >>> 0;
  return sum;
}

/** The file: a list of tables, and the tables, each from a place that 4 divides. */
function assemble(tables) {
  const tags = Object.keys(tables).sort(), power = Math.floor(Math.log2(tags.length));
  const list = new Bytes().put(4, 0x10000).put(2, tags.length, 16 * 2 ** power, power, 16 * (tags.length - 2 ** power));
  let start = 12 + 16 * tags.length;
  const places = {};
  for (const tag of tags) {
    list.put(1, ...[...tag].map((letter) => letter.charCodeAt(0)));
    list.put(4, checksum(tables[tag]), start, tables[tag].length);
    places[tag] = start;
    start += Math.ceil(tables[tag].length / 4) * 4;
  }
  const file = new Uint8Array(start);
  file.set(list.data);
  for (const tag of tags) file.set(tables[tag], places[tag]);
  new DataView(file.buffer).setUint32(places.head + 8, (0xb1b0afba - checksum(file)) >>> 0);
  return file;
}
