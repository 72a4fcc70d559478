// Two runs against each other, label by label; then what is set up only when a run is shown.
const SHOWN_LABELS = 15;

// The metrics of both runs for each label that both have, the largest difference of F1 first.
function comparePair(first, second) {
  const places = new Map(setOf(second).names.map((name, code) => [name, code]));
  const rows = setOf(first).names.flatMap((name, code) => {
    const other = places.get(name);
    if (other === undefined || (first.f1[code] === null && second.f1[other] === null)) return [];
    return [{ name, code, support: first.support[code], f1: [first.f1[code] ?? 0, second.f1[other] ?? 0] }];
  });
  const gap = ({ f1 }) => Math.abs(f1[0] - f1[1]);
  return rows.sort((a, b) => gap(b) - gap(a) || b.support - a.support);
}

// The documents on the page of a label that only the first run gets right. With several labels per document, what counts is whether
// the label itself was decided correctly.
function onlyRight(first, second, code) {
  const set = setOf(first);
  const isRight = (run, row) => set.multilabel ? run.predicted[row].includes(code) : run.predicted[row] === code;
  return rowsOf(first, (row) => codesOf(set.truth[row]).includes(code) && isRight(first, row) && !isRight(second, row));
}

// Which documents are counted as correct in one run only; empty for all of them.
function countedDocuments({ truth, documents }) {
  if (truth.length === documents) return "";
  return ` Documents that only one run has correct are counted among the ${count(truth.length)} of ${count(documents)} on this page, those that most runs got wrong.`;
}

function drawDumbbell([first, second]) {
  const svg = makeShape("svg", { class: "bar", "aria-hidden": "true" });
  const [a, b] = [100 * first, 100 * second];
  svg.append(
    makeShape("rect", { class: "track", y: 2, width: "100%", height: 10 }),
    makeShape("line", { class: "gap", x1: `${a}%`, x2: `${b}%`, y1: 7, y2: 7 }),
    makeShape("circle", { class: "first-run", cx: `${a}%`, cy: 7, r: 4 }),
    makeShape("circle", { class: "second-run", cx: `${b}%`, cy: 7, r: 4 }),
  );
  return svg;
}

function setUpPairs(section) {
  const [left, right] = findAll("select", section);
  const [table, status, more] = ["table", "[role=status]", ".more"].map((selector) => find(selector, section));
  page.runs.forEach((run, index) => {
    left.append(make("option", { value: index }, run.name));
    right.append(make("option", { value: index }, run.name));
  });
  right.value = 1;
  let limit = SHOWN_LABELS;

  function rowOf(first, second, { name, code, support, f1 }) {
    const cells = [make("td", {}, drawDumbbell(f1)), ...f1.map((value) => make("td", { class: "number" }, number(value)))];
    if (first.set === second.set) {
      for (const [winner, loser] of [[first, second], [second, first]]) {
        const rows = onlyRight(winner, loser, code);
        const cell = make("td", { class: "number" }, count(rows.length));
        const title = `${name}: correct in ${winner.name} only`;
        const open = () => showDocuments({ title, run: winner, others: [loser], rows, label: code });
        if (rows.length) makeButton(cell, `${plural(rows.length, "document")} of ${title}`, open);
        cells.push(cell);
      }
    }
    const label = make("th", { scope: "row", class: "label", title: name }, make("bdi", {}, name));
    return make("tr", {}, label, ...cells, make("td", { class: "number extra" }, count(support)));
  }

  function showPair() {
    const [first, second] = [page.runs[left.value], page.runs[right.value]];
    const rows = comparePair(first, second);
    const won = rows.filter(({ f1 }) => f1[0] > f1[1]).length;
    const lost = rows.filter(({ f1 }) => f1[0] < f1[1]).length;
    const same = first.set === second.set;
    status.textContent = `F1 is higher with ${first.name} (filled dot) for ${plural(won, "label")}, and with ${second.name} (ring) for ${lost}.`
      + (same ? countedDocuments(setOf(first)) : " These runs were not scored on the same documents.");
    const names = ["label", "", "F1, first", "F1, second", ...(same ? ["only first correct", "only second correct"] : [])];
    const header = names.map((name, at) => make("th", at ? { scope: "col", class: "number metric", ...(name ? {} : { "aria-label": "bar" }) } : { scope: "col", class: "label" }, name));
    table.replaceChildren(
      make("thead", {}, make("tr", {}, ...header, make("th", { scope: "col", class: "number metric extra" }, "docs"))),
      make("tbody", {}, ...rows.slice(0, limit).map((row) => rowOf(first, second, row))),
    );
    more.hidden = rows.length <= limit;
    more.textContent = `Show all ${plural(rows.length, "label")}`;
  }

  more.addEventListener("click", () => {
    limit = Infinity;
    showPair();
  });
  for (const select of [left, right]) select.addEventListener("change", showPair);
  showPair();
}

// The controls of a run are made when it is shown for the first time.
const ready = new Set();
function setUpRun(anchor) {
  if (ready.has(anchor) || !runOf(anchor)) return;
  ready.add(anchor);
  setUpDocuments(runOf(anchor));
  for (const controls of findAll(".threshold", document.getElementById(anchor))) setUpThreshold(controls);
}

document.addEventListener("run-shown", (event) => setUpRun(event.detail));
window.addEventListener("beforeprint", () => {
  page.runs.forEach((run) => setUpRun(run.anchor));
  for (const checks of findAll(".checks")) checks.open = true;
});
if (find(".versus")) setUpPairs(find(".versus"));
if (tabs.length) showAddressedRun();
else page.runs.forEach((run) => setUpRun(run.anchor));
