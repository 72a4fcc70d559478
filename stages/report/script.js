"use strict";
// Without this script, the page shows all runs one below the other. With it, tabs show one run at a time, and the labels
// can be sorted.
(() => {
  const tabs = [...document.querySelectorAll(".tabs a")];
  const panels = [...document.querySelectorAll(".run")];
  const rows = [...document.querySelectorAll(".compare tbody tr")];
  document.documentElement.classList.add("scripted");

  function show(anchor) {
    tabs.forEach((tab, index) => {
      const selected = panels[index].id === anchor;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      panels[index].hidden = !selected;
      rows[index].classList.toggle("selected", selected);
    });
  }

  function select(index) {
    show(panels[index].id);
    history.replaceState(null, "", "#" + panels[index].id);
    tabs[index].focus({ preventScroll: true });
  }

  function showAddressed() {
    const anchor = location.hash.slice(1);
    const exists = panels.some((panel) => panel.id === anchor);
    show(exists ? anchor : panels[0].id);
    if (exists) document.querySelector(".tabs").scrollIntoView();
  }

  if (tabs.length) {
    tabs[0].parentElement.setAttribute("role", "tablist");
    tabs.forEach((tab, index) => {
      tab.id = panels[index].id + "-tab";
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", panels[index].id);
      panels[index].setAttribute("role", "tabpanel");
      tab.addEventListener("click", (event) => {
        event.preventDefault();
        select(index);
      });
      tab.addEventListener("keydown", (event) => {
        const targets = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: tabs.length - 1 };
        if (!(event.key in targets)) return;
        event.preventDefault();
        select((targets[event.key] + tabs.length) % tabs.length);
      });
    });
    window.addEventListener("hashchange", showAddressed);
    showAddressed();
  }

  const labelOf = (row) => row.querySelector(".label").textContent;
  const comparators = {
    support: (a, b) => b.dataset.support - a.dataset.support,
    f1: (a, b) => a.dataset.f1 - b.dataset.f1,
    name: (a, b) => labelOf(a).localeCompare(labelOf(b)),
  };

  function sortLabels(section, by) {
    const bodies = [...section.querySelectorAll("tbody")];
    const sizes = bodies.map((body) => body.rows.length);
    const sorted = bodies.flatMap((body) => [...body.rows]).sort((a, b) => comparators[by](a, b) || comparators.name(a, b));
    bodies.forEach((body, index) => body.append(...sorted.splice(0, sizes[index])));
    for (const button of section.querySelectorAll(".sort button")) {
      button.setAttribute("aria-pressed", String(button.dataset.by === by));
    }
  }

  for (const button of document.querySelectorAll(".sort button")) {
    button.addEventListener("click", () => sortLabels(button.closest("section"), button.dataset.by));
  }
})();
