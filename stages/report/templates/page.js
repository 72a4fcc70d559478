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

const number = (value, digits = 3) => (value === null ? "–" : value.toFixed(digits));
const count = (value) => value.toLocaleString("en");
const plural = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
const runOf = (anchor) => page.runs.find((run) => run.anchor === anchor);
const setOf = (run) => page.sets[run.set];
