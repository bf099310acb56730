// The page of one's own model of texts: it writes, under any label, and goes on from how a text begins.
"use strict";

const facts = JSON.parse(byId("data").textContent), weights = unpack(facts.packed);
const { labels, characters, longest } = facts;
const grams = new Grams(facts.grams, characters.length + SPECIAL, facts.order), many = longest > 80 ? 4 : 12;
const random = uniform(), numberOf = new Map(characters.map((k, i) => [k, SPECIAL + i]));
const chosen = chooser(labels, "all, in turn", write);
const warm = { min: 0.1, max: 1.5, step: 0.1, value: facts.temperature, id: "temperature" };
const temperature = slider("temperature", warm, () => {});
byId("knobs").append(temperature.box);

/** The model, told a label (a number), or null. */
function told(label) {
  const c = label === null ? null : labels.map((_, k) => (k === label ? 1 : 0));
  return new Language(facts.plan, weights, grams, c);
}

const symbolsOf = (text) => [...text].map((k) => numberOf.get(k) ?? UNKNOWN);
const textOf = (symbols) => symbols.filter((k) => k >= SPECIAL).map((k) => characters[k - SPECIAL]).join("");

function write() {
  const start = byId("begin").value, beginning = symbolsOf(start), full = beginning.length >= longest;
  byId("sheet").replaceChildren(...Array.from({ length: many }, (_, i) => {
    const label = labels.length ? chosen.value ?? i % labels.length : null;
    const symbols = told(label).write(random, temperature.value, longest, beginning);
    const text = element("span", { class: "text" }, element("b", {}, start), textOf(symbols));
    if (!full && beginning.length + symbols.length >= longest) text.append("…"); // no end came
    const item = element("li", { dir: "auto" }, text);
    if (label !== null) item.prepend(element("bdi", { class: "soft", dir: "auto" }, labels[label]), " ");
    return item;
  }));
  const strange = [...new Set(start)].filter((k) => !numberOf.has(k)).join(" ");
  const limit = `The model writes up to ${longest} characters, and this beginning has ${beginning.length}: `;
  say(`${many} texts are written.${strange ? ` The model has never seen ${strange}.` : ""}` +
    `${full ? ` ${limit}nothing is added.` : ""}`);
}

byId("surprise").addEventListener("click", write);
byId("begin").addEventListener("keydown", (event) => event.key === "Enter" && write());
write();
window.model = { symbolsOf, textOf, logProb: (text, label = null) => told(label).logProb(symbolsOf(text)),
  write: (temperature, beginning = "", label = null) =>
    textOf(told(label).write(random, temperature, longest, symbolsOf(beginning))) };
document.body.dataset.ready = Math.round(performance.now());
