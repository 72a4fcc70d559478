// Tabs show one run at a time. Arrow keys move between them, and the address of the page names the run.
const tabs = findAll(".tabs a");
const panels = findAll(".run");
const rowOfRun = new Map(findAll(".compare tbody tr").map((row) => [row.dataset.run, row]));

function showRun(anchor) {
  tabs.forEach((tab, index) => {
    const selected = panels[index].id === anchor;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
    panels[index].hidden = !selected;
    rowOfRun.get(panels[index].id).classList.toggle("selected", selected);
  });
  document.dispatchEvent(new CustomEvent("run-shown", { detail: anchor }));
}

function selectTab(index) {
  showRun(panels[index].id);
  history.replaceState(null, "", "#" + panels[index].id);
  tabs[index].focus({ preventScroll: true });
}

function showAddressedRun() {
  const anchor = location.hash.slice(1);
  const exists = panels.some((panel) => panel.id === anchor);
  showRun(exists ? anchor : panels[0].id);
  if (exists) find(".tabs").scrollIntoView();
}

function setUpTab(tab, index) {
  tab.id = panels[index].id + "-tab";
  tab.setAttribute("role", "tab");
  tab.setAttribute("aria-controls", panels[index].id);
  panels[index].setAttribute("role", "tabpanel");
  tab.addEventListener("click", (event) => {
    event.preventDefault();
    selectTab(index);
  });
  tab.addEventListener("keydown", (event) => {
    const shown = tabs.filter((each) => !each.hidden);
    const place = shown.indexOf(tab);
    const places = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: shown.length - 1 };
    if (!(event.key in places)) return;
    event.preventDefault();
    selectTab(tabs.indexOf(shown[(places[event.key] + shown.length) % shown.length]));
  });
}

if (tabs.length) {
  tabs[0].parentElement.setAttribute("role", "tablist");
  tabs.forEach(setUpTab);
  window.addEventListener("hashchange", showAddressedRun);
}
