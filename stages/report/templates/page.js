"use strict";
// Without scripts, the page shows all runs one below the other. What only scripts can do has the class "scripted-only".
// Labels, ids and texts are user input: they become text nodes, never markup.
document.documentElement.classList.add("scripted");
const page = JSON.parse(document.getElementById("page-data").textContent);

const find = (selector, within = document) => within.querySelector(selector);
const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];

// An element with attributes and children; texts are isolated from the writing direction around them.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeShape(tag, attributes) {
  const shape = document.createElementNS(find("svg").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
  return shape;
}

const number = (value, digits = 3) => (value === null ? "–" : value.toFixed(digits));
const count = (value) => value.toLocaleString("en");
const plural = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
const runOf = (anchor) => page.runs.find((run) => run.anchor === anchor);
const setOf = (run) => page.sets[run.set];

// What the page keeps in short: predictions that are not the truth, and differences between numbers of documents.
function accumulate(differences) {
  let sum = 0;
  return differences.map((difference) => (sum += difference));
}

for (const run of page.runs) {
  const predicted = [...setOf(run).truth];
  run.wrong.forEach((row, at) => (predicted[row] = run.predicted[at]));
  run.predicted = predicted;
  if (typeof run.probability === "string") run.probability = run.probability.match(/../g).map((digits) => parseInt(digits, 32));
  for (const curve of run.curves) {
    curve.hits = accumulate(curve.hits);
    curve.predicted = accumulate(curve.predicted);
  }
}
