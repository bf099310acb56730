// The namer of colours: a network that is told a colour writes a hundred names, others choose, as in the lesson.
"use strict";

const facts = JSON.parse(byId("data").textContent), weights = unpack(facts.packed);
const { cones, opponents, words, characters, first, last, known, meaning, lambda, draws, longest } = facts;
const wordOf = new Map(words.map((word, i) => [word, SPECIAL + i]));
const letterOf = new Map(characters.map((letter, i) => [letter, SPECIAL + i]));
const [mayBegin, mayEnd, taken] = [first, last, known].map((list) => new Set(list));
const part = (name) => within(weights, name + ".");
const { told } = facts, plain = facts.plain.map(({ name, plan, kind }) => ({ kind, model: new Gru(plan, part(name)) }));
let turn = 0, timer = null;

/** A colour of the screen, "#35ad6b", in Oklab, where equal distances look equally far apart. */
function oklab(hex) {
  const light = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
  const times = (matrix, v) => matrix.map((line) => line.reduce((sum, x, k) => sum + x * v[k], 0));
  return times(opponents, times(cones, light).map(Math.cbrt));
}

const parts = (name) => name.replaceAll("/", " ").split(" ").filter(Boolean);
const alike = (name) => name.replace(/[^a-z]/g, "").replaceAll("gray", "grey");

/** Whether a name is put together as people's are, of known words, and new. */
function may(name) {
  const found = parts(name);
  if (found.length < 1 || found.length > 3 || taken.has(alike(name))) return false;
  if (new Set(found.map((word) => word.slice(0, 3))).size < found.length) return false;
  return mayEnd.has(found[found.length - 1]) && found.slice(0, -1).every((word) => mayBegin.has(word));
}

/** log p(c|x) but for a constant: how near a colour is to what the words of a name mean. */
function meant(name, c) {
  const found = parts(name), features = [...found, `${found[found.length - 1]} (last)`];
  const brings = (f, k) => (Object.hasOwn(meaning.words, f) ? meaning.words[f][k] : 0);
  const off = c.map((value, k) => value - features.reduce((sum, f) => sum + brings(f, k), meaning.middle[k]));
  return -off.reduce((sum, a, i) => sum + off.reduce((s, b, j) => s + a * meaning.precision[i][j] * b, 0), 0) / 2;
}

/** A name as symbols: words or letters. */
function symbolsOf(name, kind) {
  const [items, table] = kind === "words" ? [parts(name), wordOf] : [[...name], letterOf];
  return items.map((item) => table.get(item) ?? UNKNOWN);
}

/** A function that says what a name is worth for a colour, in nats: log p(x|c) - λ log p(x) + log p(c|x). */
function judge(c) {
  const judges = told.slice(1).map(({ kind, name, plan }) => ({ kind, model: new Gru(plan, part(name), c) }));
  const kinds = [...new Set(judges.map(({ kind }) => kind))];
  const mean = (models, kind, name) => {
    const own = models.filter((one) => one.kind === kind);
    return own.reduce((sum, { model }) => sum + model.logProb(symbolsOf(name, kind)), 0) / own.length;
  };
  return (name) => meant(name, c) + kinds.reduce((sum, kind) =>
    sum + (mean(judges, kind, name) - lambda * mean(plain, kind, name)) / kinds.length, 0);
}

/** Which n names to show, the best first: each is worth less for a word that is shown already. */
function apart(names, worth, n = 5, price = 0.5) {
  const begins = names.map((name) => new Set(parts(name).map((word) => word.slice(0, 3))));
  const found = [], shown = new Set();
  while (found.length < Math.min(n, names.length)) {
    let best = -1, most = -Infinity;
    names.forEach((_, i) => {
      const now = worth[i] - price * [...begins[i]].filter((start) => shown.has(start)).length;
      if (!found.includes(i) && now > most) [best, most] = [i, now];
    });
    found.push(best);
    begins[best].forEach((start) => shown.add(start));
  }
  return found.map((i) => names[i]);
}

/** The best names of many draws; the same colour, temperature and number give the same. */
function namesFor(hex, temperature = 1, seed = 0) {
  const c = oklab(hex), random = uniform(seed), drawn = new Set();
  const writer = new Gru(told[0].plan, part(told[0].name), c);
  for (let i = 0; i < draws; i++) {
    const name = writer.write(random, temperature, longest).map((k) => words[k - SPECIAL]).join(" ");
    if (may(name)) drawn.add(name);
  }
  const names = [...drawn], worth = judge(c);
  return apart(names, names.map(worth));
}

const temperature = slider("temperature", { min: 0.4, max: 1.6, step: 0.1, value: 1, id: "temperature" }, soon);
byId("knobs").append(temperature.box);

function show() {
  const hex = byId("colour").value, found = namesFor(hex, temperature.value, turn);
  byId("names").replaceChildren(...found.map((name) => element("li", {}, name)));
  const help = temperature.value < 1 ? "raise the temperature" : "ask for other names";
  const few = `: of ${draws} names, only ${found.length} ${found.length === 1 ? "was" : "were"} new, of words that ` +
    "people use in such places, and unlike the others";
  say(found.length ? `For the colour ${hex}${found.length < 5 ? few : ""}.` : `No name for ${hex} came: ${help}.`);
}

function paint() {
  const hex = byId("colour").value, patch = byId("patch");
  patch.style.background = hex;
  patch.style.color = oklab(hex)[0] < 0.65 ? "#ffffff" : "#000000";
}

/** The colour at once, its names when it has come to rest. */
function soon() {
  paint();
  clearTimeout(timer);
  timer = setTimeout(show, 120);
}

byId("colour").addEventListener("input", soon);
byId("again").addEventListener("click", () => (turn++, show()));
byId("surprise").addEventListener("click", () => {
  const random = () => Math.floor(Math.random() * 256).toString(16).padStart(2, "0");
  byId("colour").value = `#${random()}${random()}${random()}`;
  soon();
});
paint();
show();
window.model = { oklab, may, meant, namesFor, judge, plain, symbolsOf, logProb: (i, name, c) => {
  const { kind, plan, name: weightsOf } = told[i];
  return new Gru(plan, part(weightsOf), c).logProb(symbolsOf(name, kind));
} };
document.body.dataset.ready = Math.round(performance.now());
