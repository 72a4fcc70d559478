// The documents behind a number: a cell of a confusion matrix, a count of decisions, or a difference of two runs.
const dialog = find("dialog.documents");
const SHOWN_AT_ONCE = 50;

// A set's documents with one or several labels each are read alike.
const codesOf = (codes) => (Array.isArray(codes) ? codes : [codes]);
// A code is that of a label, which all runs of a set share, or of another node or no label, which a run names.
const nameOf = (run, code) => [...setOf(run).names, ...run.others][code];
const namesOf = (run, codes) => codesOf(codes).map((code) => nameOf(run, code));

// The probability of a label, or of the prediction; undefined if the page does not have it.
function probabilityOf(run, row, label) {
  const set = setOf(run);
  if (!set.multilabel) return run.probability[row] / 1000;
  const at = [...set.truth[row], ...run.predicted[row]].indexOf(label);
  return at < 0 ? undefined : run.probability[row][at] / 1000;
}

// Open a list of documents. rows: numbers of documents in the run's set. others: further runs, whose predictions are
// shown too. total: how many documents there are, of which the page may have fewer; undefined if it is not known.
function showDocuments({ title, run, others = [], rows, label, total }) {
  const set = setOf(run);
  const sorted = [...rows].sort((a, b) => (probabilityOf(run, b, label) ?? 0) - (probabilityOf(run, a, label) ?? 0));
  const runs = [run, ...others];
  const predictedBy = (each) => (runs.length > 1 ? `predicted by ${each.name}` : "predicted");
  const columns = ["document", ...(set.texts.length ? ["text"] : []), "true", ...runs.flatMap((each) => [predictedBy(each), "probability"])];
  find("h2", dialog).textContent = title;
  const onPage = total === undefined && set.truth.length < set.documents ? " on this page" : "";
  find("p", dialog).textContent = plural(total ?? rows.length, "document") + (rows.length < total ? `; the page has ${count(rows.length)} of them` : onPage);
  find("thead", dialog).replaceChildren(make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, name))));
  const body = find("tbody", dialog);
  body.replaceChildren();
  let shown = 0;

  function rowOf(document) {
    const names = (each, codes) => make("td", {}, make("bdi", {}, namesOf(each, codes).join(", ") || "none"));
    const cells = [make("th", { scope: "row" }, make("bdi", {}, set.ids[document]))];
    if (set.texts.length) cells.push(make("td", { class: "excerpt", dir: "auto" }, set.texts[document]));
    cells.push(names(run, set.truth[document]));
    for (const each of runs) {
      const probability = probabilityOf(each, document, label);
      cells.push(names(each, each.predicted[document]), make("td", { class: "number" }, number(probability ?? null)));
    }
    return make("tr", {}, ...cells);
  }

  function showMore() {
    body.append(...sorted.slice(shown, shown + SHOWN_AT_ONCE).map(rowOf));
    shown += SHOWN_AT_ONCE;
    find(".more", dialog).hidden = shown >= sorted.length;
  }

  find(".more", dialog).onclick = showMore;
  showMore();
  dialog.showModal();
  find(".scroll", dialog).scrollTop = 0;
}

find(".close", dialog).addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // the space around it
});

const rowsOf = (run, isWanted) => [...setOf(run).truth.keys()].filter(isWanted);

function showCell(run, [truth, predicted, total]) {
  const set = setOf(run);
  const rows = rowsOf(run, (row) => set.truth[row] === truth && run.predicted[row] === predicted);
  showDocuments({ title: `${nameOf(run, truth)} predicted as ${nameOf(run, predicted)}`, run, rows, total });
}

const DECISIONS = {
  tp: ["true positives", (hasLabel, isPredicted) => hasLabel && isPredicted],
  fn: ["false negatives", (hasLabel, isPredicted) => hasLabel && !isPredicted],
  fp: ["false positives", (hasLabel, isPredicted) => !hasLabel && isPredicted],
};

function showDecisions(run, [kind, label, total]) {
  const set = setOf(run);
  const [name, isWanted] = DECISIONS[kind];
  const rows = rowsOf(run, (row) => isWanted(set.truth[row].includes(label), run.predicted[row].includes(label)));
  showDocuments({ title: `${nameOf(run, label)}: ${name}`, run, rows, label, total });
}

// A number in a table becomes a button.
function makeButton(cell, label, open) {
  const button = make("button", { type: "button", class: "count", "aria-label": label }, cell.textContent);
  button.addEventListener("click", open);
  cell.replaceChildren(button);
}

// The cells of a matrix are one stop of the Tab key; arrow keys move to the nearest cell in their direction.
function setUpMatrix(matrix, run) {
  const cells = findAll("[data-cell]", matrix).map((element) => ({ element, values: element.dataset.cell.split(" ").map(Number) }));
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  function nearest([truth, predicted], [down, right]) {
    const ahead = cells.filter(({ values: [row, column] }) => (down ? (row - truth) * down > 0 : row === truth && (column - predicted) * right > 0));
    const distance = ({ values: [row, column] }) => 1000 * Math.abs(row - truth) + Math.abs(column - predicted);
    return ahead.sort((a, b) => distance(a) - distance(b))[0];
  }

  cells.forEach(({ element, values }, index) => {
    const [truth, predicted, documents] = values;
    element.setAttribute("role", "button");
    element.setAttribute("tabindex", index ? "-1" : "0");
    element.setAttribute("aria-label", `${nameOf(run, truth)} predicted as ${nameOf(run, predicted)}: ${plural(documents, "document")}`);
    element.addEventListener("pointerenter", () => {
      if (element.firstElementChild) return;
      const title = makeShape("title", {});
      title.textContent = element.getAttribute("aria-label");
      element.append(title);
    });
    element.addEventListener("click", () => showCell(run, values));
    element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        showCell(run, values);
      } else if (event.key in steps) {
        event.preventDefault();
        const next = nearest(values, steps[event.key]);
        if (!next) return;
        element.setAttribute("tabindex", "-1");
        next.element.setAttribute("tabindex", "0");
        next.element.focus();
      }
    });
  });
}

function setUpDocuments(run) {
  const panel = document.getElementById(run.anchor);
  for (const matrix of findAll(".matrix", panel)) setUpMatrix(matrix, run);
  for (const cell of findAll("td[data-cell]", panel)) {
    const values = cell.dataset.cell.split(" ").map(Number);
    makeButton(cell, `${plural(values[2], "document")} of ${nameOf(run, values[0])} predicted as ${nameOf(run, values[1])}`, () => showCell(run, values));
  }
  for (const cell of findAll("td[data-decisions]", panel)) {
    const [kind, label, documents] = cell.dataset.decisions.split(" ");
    if (documents === "0") continue;
    const values = [kind, Number(label), Number(documents)];
    makeButton(cell, `${cell.textContent} ${DECISIONS[kind][0]} of ${nameOf(run, label)}`, () => showDecisions(run, values));
  }
}
