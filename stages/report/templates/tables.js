// Sorting the labels of a run; sorting and filtering the runs.
const labelOf = (row) => find(".label", row).textContent;
const labelOrders = {
  support: (a, b) => b.dataset.support - a.dataset.support,
  f1: (a, b) => a.dataset.f1 - b.dataset.f1,
  name: (a, b) => labelOf(a).localeCompare(labelOf(b)),
};

function sortLabels(section, by) {
  const bodies = findAll("tbody", section);
  const sizes = bodies.map((body) => body.rows.length);
  const sorted = bodies.flatMap((body) => [...body.rows]).sort((a, b) => labelOrders[by](a, b) || labelOrders.name(a, b));
  bodies.forEach((body, index) => body.append(...sorted.splice(0, sizes[index])));
  for (const button of findAll(".sort button", section)) {
    button.setAttribute("aria-pressed", String(button.dataset.by === by));
  }
}

for (const button of findAll(".sort button")) {
  button.addEventListener("click", () => sortLabels(button.closest("section"), button.dataset.by));
}

// Each cell of the comparison has the value that it is sorted by: the higher or, with "lower", the lower the better.
function setUpComparison(tools, table) {
  const body = find("tbody", table);
  const ranked = [...body.rows];
  const [filter, sort, status] = ["input", "select", "[role=status]"].map((selector) => find(selector, tools));
  const columns = new Map(ranked.flatMap((row) => findAll("[data-sort]", row)).map((cell) => [cell.dataset.name, cell.dataset.better]));
  sort.append(...[...columns.keys()].map((name) => make("option", { value: name }, name)), make("option", { value: "run" }, "name of the run"));

  function valueIn(row, name) {
    const cell = findAll("[data-sort]", row).find((each) => each.dataset.name === name);
    const value = Number(cell?.dataset.sort || NaN);
    return Number.isNaN(value) ? -Infinity : columns.get(name) === "lower" ? -value : value;
  }

  function sortRuns() {
    const name = sort.value;
    const byName = (a, b) => find("th a", a).textContent.localeCompare(find("th a", b).textContent);
    const byValue = (a, b) => valueIn(b, name) - valueIn(a, name) || ranked.indexOf(a) - ranked.indexOf(b);
    const orders = { "-1": (a, b) => ranked.indexOf(a) - ranked.indexOf(b), run: byName };
    body.append(...[...ranked].sort(orders[name] || byValue));
  }

  // Every word must occur in what the row says about the run.
  function filterRuns() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of ranked) {
      const text = findAll("th, td[data-name='decision rule']", row).map((cell) => cell.textContent.toLowerCase()).join(" ");
      row.hidden = !words.every((word) => text.includes(word));
    }
    tabs.forEach((tab, index) => (tab.hidden = rowOfRun.get(panels[index].id).hidden));
    const left = ranked.filter((row) => !row.hidden).length;
    status.textContent = words.length ? `${left} of ${plural(ranked.length, "run")}` : "";
  }

  sort.addEventListener("change", sortRuns);
  filter.addEventListener("input", filterRuns);
}

if (find("main > .tools")) setUpComparison(find("main > .tools"), find(".compare"));
