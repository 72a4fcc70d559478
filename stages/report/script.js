"use strict";
// Without this script the page shows all runs one after another. With it, one at a time, and labels can be sorted.
(() => {
  const tabs = [...document.querySelectorAll(".tabs a")];
  const panels = [...document.querySelectorAll(".run")];
  const rows = [...document.querySelectorAll(".compare tbody tr")];
  document.documentElement.classList.add("scripted");

  function show(anchor) {
    tabs.forEach((tab, at) => {
      const chosen = panels[at].id === anchor;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      panels[at].hidden = !chosen;
      rows[at].classList.toggle("chosen", chosen);
    });
  }

  function choose(at) {
    show(panels[at].id);
    history.replaceState(null, "", "#" + panels[at].id);
    tabs[at].focus({ preventScroll: true });
  }

  function fromAddress() {
    const anchor = location.hash.slice(1);
    const found = panels.some((panel) => panel.id === anchor);
    show(found ? anchor : panels[0].id);
    if (found) document.querySelector(".tabs").scrollIntoView();
  }

  if (tabs.length) {
    tabs[0].parentElement.setAttribute("role", "tablist");
    tabs.forEach((tab, at) => {
      tab.id = panels[at].id + "-tab";
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", panels[at].id);
      panels[at].setAttribute("role", "tabpanel");
      tab.addEventListener("click", (event) => {
        event.preventDefault();
        choose(at);
      });
      tab.addEventListener("keydown", (event) => {
        const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 };
        if (!(event.key in moves)) return;
        event.preventDefault();
        choose((moves[event.key] + tabs.length) % tabs.length);
      });
    });
    window.addEventListener("hashchange", fromAddress);
    fromAddress();
  }

  const name = (row) => row.querySelector(".label").textContent;
  const orders = {
    support: (a, b) => b.dataset.support - a.dataset.support,
    f1: (a, b) => a.dataset.f1 - b.dataset.f1,
    name: (a, b) => name(a).localeCompare(name(b)),
  };

  function sort(section, by) {
    const bodies = [...section.querySelectorAll("tbody")];
    const sizes = bodies.map((body) => body.rows.length);
    const sorted = bodies.flatMap((body) => [...body.rows]).sort((a, b) => orders[by](a, b) || orders.name(a, b));
    bodies.forEach((body, at) => body.append(...sorted.splice(0, sizes[at])));
    for (const button of section.querySelectorAll(".sort button")) {
      button.setAttribute("aria-pressed", String(button.dataset.by === by));
    }
  }

  for (const button of document.querySelectorAll(".sort button")) {
    button.addEventListener("click", () => sort(button.closest("section"), button.dataset.by));
  }
})();
