// The slider below the precision-recall curves: a threshold on the probability of a label, and the metrics that it gives.
// Its positions are the points of the curve, so that the metrics are those of scikit-learn, not interpolated.
// Precision, recall and F1 from numbers of documents.
function metricsAt(curve, at) {
  const [hits, predicted] = [curve.hits[at], curve.predicted[at]];
  return {
    threshold: curve.thresholds[at],
    precision: hits / predicted,
    recall: hits / curve.documents,
    f1: (2 * hits) / (predicted + curve.documents),
    predicted,
    hits,
  };
}

function setUpThreshold(controls) {
  const run = runOf(controls.dataset.run);
  const set = setOf(run);
  const curves = run.curves.filter((curve) => curve.thresholds.length);
  if (!curves.length) {
    controls.hidden = true;
    return;
  }
  const chart = find(".chart", controls.closest("section"));
  const [width, height] = [Number(chart.dataset.width), Number(chart.dataset.height)];
  const path = makeShape("path", { class: "chosen-curve", fill: "none" });
  const dot = makeShape("circle", { class: "chosen-point", r: 6 });
  find("g", chart).append(path, dot);
  const [select, slider] = [find("select", controls), find("input", controls)];
  const curveName = (curve) => (curve.label < 0 ? "all labels together" : set.names[curve.label]);
  const byName = (a, b) => a.label < 0 || b.label < 0 ? a.label - b.label : curveName(a).localeCompare(curveName(b));
  curves.sort(byName);
  select.append(...curves.map((curve, index) => make("option", { value: index }, curveName(curve))));

  function drawCurve(curve) {
    const points = curve.thresholds.map((_, at) => metricsAt(curve, at));
    const x = (point) => (width * point.recall).toFixed(1);
    const y = (point) => (height * (1 - point.precision)).toFixed(1);
    path.setAttribute("d", points.map((point, at) => (at ? `H${x(point)}V${y(point)}` : `M${x(point)} ${y(point)}`)).join("") + "H0");
  }

  function showMetrics() {
    const metrics = metricsAt(curves[select.value], Number(slider.value));
    dot.setAttribute("cx", width * metrics.recall);
    dot.setAttribute("cy", height * (1 - metrics.precision));
    for (const cell of findAll("[data-value]", controls)) {
      const value = metrics[cell.dataset.value];
      const isMetric = ["precision", "recall", "f1"].includes(cell.dataset.value);
      cell.textContent = isMetric ? number(value) : cell.dataset.value === "threshold" ? String(value) : count(value);
    }
    const { threshold, precision, recall, f1 } = metrics;
    slider.setAttribute("aria-valuetext", `threshold ${threshold}: precision ${number(precision)}, recall ${number(recall)}, F1 ${number(f1)}`);
  }

  // A label starts at a threshold of a half.
  function showCurve() {
    const curve = curves[select.value];
    const start = curve.thresholds.findIndex((threshold) => threshold >= 0.5);
    slider.max = curve.thresholds.length - 1;
    slider.value = start < 0 ? slider.max : start;
    drawCurve(curve);
    showMetrics();
  }

  select.addEventListener("change", showCurve);
  slider.addEventListener("input", showMetrics);
  showCurve();
}
