"use strict";
// Draws the report's charts and listens to its controls. Everything that is drawn comes from the JSON block `report`.
(() => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const each = (selector, act) => document.querySelectorAll(selector).forEach(act);
  const hidden = new Set();
  const logs = new Map(report.charts.map((chart) => [chart.key, chart.log]));
  const views = new Map();
  let bands = true;

  function specOf(chart) {
    const spec = structuredClone(logs.get(chart.key) ? chart.logarithmic ?? chart.linear : chart.linear);
    spec.layer = spec.layer.filter((layer) => bands || !layer.name.startsWith("band"));
    for (const layer of spec.layer) {
      const { color, strokeDash } = layer.encoding;
      if (color) color.legend = null; // the list of runs above is the legend
      if (strokeDash && strokeDash.field) strokeDash.legend = null;
    }
    spec.datasets = { levels: report.rows.filter((row) => !hidden.has(row.run)) };
    return { ...spec, width: "container", height: 300, autosize: { type: "fit-x", contains: "padding" } };
  }

  async function draw(chart) {
    const place = document.getElementById(`chart-${chart.key}`);
    views.get(chart.key)?.finalize();
    const options = {
      actions: false, renderer: "svg", ast: true, config: report.config, tooltip: { theme: "custom" }, mode: "vega-lite",
      logLevel: 1,
    };
    const drawn = await vegaEmbed(place, specOf(chart), options);
    views.set(chart.key, drawn);
  }

  async function drawAll() {
    for (const chart of report.charts) await draw(chart);
    document.documentElement.dataset.drawn = "yes";
  }

  each("input[data-run]", (box) => {
    box.addEventListener("change", () => {
      const label = report.labels[Number(box.dataset.run)];
      if (box.checked) hidden.delete(label); else hidden.add(label);
      drawAll();
    });
  });
  each("input[data-log]", (box) => {
    box.addEventListener("change", () => {
      logs.set(box.dataset.log, box.checked);
      draw(report.charts.find((chart) => chart.key === box.dataset.log));
    });
  });
  document.getElementById("bands")?.addEventListener("change", (event) => {
    bands = event.target.checked;
    drawAll();
  });
  document.getElementById("all")?.addEventListener("click", () => choose(true));
  document.getElementById("none")?.addEventListener("click", () => choose(false));
  function choose(on) {
    hidden.clear();
    if (!on) report.labels.forEach((label) => hidden.add(label));
    each("input[data-run]", (box) => { box.checked = on; });
    drawAll();
  }

  const theme = document.getElementById("theme");
  theme?.addEventListener("click", () => {
    const isDark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = isDark ? "light" : "dark";
  });
  each(".needs-script", (element) => { element.hidden = false; });
  drawAll();
})();
