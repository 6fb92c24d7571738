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

  // A tooltip without what a point does not have; `escaped` is Vega's, and makes text of whatever it gets.
  function told(values, escaped) {
    const known = Object.entries(values).filter(([name, value]) => name === "run" || !/^(NaN|undefined|)$/.test(value));
    const rows = known.map(([name, value]) => `<tr><td class="key">${escaped(name)}</td><td>${escaped(value)}</td></tr>`);
    return `<table><tbody>${rows.join("")}</tbody></table>`;
  }

  async function draw(chart) {
    const place = document.getElementById(`chart-${chart.key}`);
    views.get(chart.key)?.finalize();
    const options = {
      actions: false, renderer: "svg", ast: true, config: report.config, mode: "vega-lite", logLevel: 1,
      tooltip: { theme: "custom", formatTooltip: told },
    };
    const drawn = await vegaEmbed(place, specOf(chart), options);
    views.set(chart.key, drawn);
    if (place.dataset.at) point(place, null);
  }

  // The figures of a point for whoever has no mouse: the arrow keys walk, and what a mouse would show is shown and said.
  function point(place, number) {
    const points = [...place.querySelectorAll(".mark-symbol.role-mark > path")];
    const before = place.querySelector("path.here");
    before?.classList.remove("here");
    document.getElementById("vg-tooltip-element")?.classList.remove("visible");
    delete place.dataset.at;
    if (number === null || !points.length) return;
    const at = Math.max(0, Math.min(points.length - 1, number));
    const box = points[at].getBoundingClientRect();
    const where = { bubbles: true, clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
    points[at].classList.add("here");
    points[at].dispatchEvent(new PointerEvent("pointermove", where));
    place.dataset.at = String(at);
    const cells = document.querySelectorAll("#vg-tooltip-element tr");
    document.getElementById("said").textContent = [...cells].map((row) => row.innerText.replace(/\s+/g, " ")).join(", ");
  }
  each(".chart", (place) => {
    place.addEventListener("keydown", (event) => {
      const now = place.dataset.at === undefined ? -1 : Number(place.dataset.at);
      const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: Infinity, Escape: null }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      point(place, next);
    });
    place.addEventListener("blur", () => point(place, null));
  });

  // One after the other: of two drawings of a chart the older one must not come last.
  let line = Promise.resolve();
  let turn = 0;
  function drawAll() {
    const mine = ++turn;
    line = line.then(async () => {
      for (const chart of report.charts) {
        if (mine !== turn) return; // a newer turn draws all of them
        await draw(chart);
      }
      document.documentElement.dataset.drawn = "yes";
    });
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
      line = line.then(() => draw(report.charts.find((chart) => chart.key === box.dataset.log)));
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
  const bar = document.querySelector(".bar");
  const keepClear = () => { // what is jumped to, or gets the focus, must not lie below the bar
    const height = getComputedStyle(bar).position === "sticky" ? bar.offsetHeight + 8 : 0;
    document.documentElement.style.scrollPaddingTop = `${height}px`;
  };
  new ResizeObserver(keepClear).observe(bar);
  each(".needs-script", (element) => { element.hidden = false; });
  drawAll();
})();
