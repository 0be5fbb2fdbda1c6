"use strict";
(() => {
  const data = (id) => { const node = document.getElementById(id); return node && JSON.parse(node.textContent); };
  const times = data("times");
  const shown = (value) => value === null ? "–" : String(Math.round(value * 1000) / 1000).replace("-", "\u2212");

  const chart = (figure) => {
    const told = JSON.parse(figure.dataset.readout);
    const svg = figure.querySelector("svg");
    const out = figure.querySelector(".readout");
    const height = svg.viewBox.baseVal.height;
    const cursor = document.createElementNS(svg.namespaceURI, "rect");
    const step = told.width / times.length;
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("y", 26);
    cursor.setAttribute("height", height - 52);
    cursor.setAttribute("width", Math.max(step, 1));
    cursor.setAttribute("visibility", "hidden");
    svg.append(cursor);
    out.textContent = "Point at the chart, or use its arrow keys, to read it out.";
    let at = -1;
    const show = (mtu) => {
      at = Math.min(Math.max(mtu, 0), times.length - 1);
      cursor.setAttribute("x", told.left + at * step);
      cursor.setAttribute("visibility", "visible");
      const parts = told.series.map(([name, row]) => `${name} ${shown(row[at])} ${told.unit}`);
      out.textContent = `${times[at]}: ${parts.join(", ")}`;
    };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
      show(Math.floor((x - told.left) / step));
    });
    figure.querySelector(".scroll").addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      show(at < 0 ? 0 : at + move);
    });
  };
  document.querySelectorAll("figure[data-readout]").forEach(chart);

  const map = data("map-data");
  if (!map) return;
  const slider = document.getElementById("mtu");
  const lines = map.branches.map((branch) => document.getElementById(`b${branch}`));
  const titles = lines.map((line) => line.querySelector("title"));
  const about = titles.map((title) => title.textContent);
  const buses = new Set(map.marks.flatMap((marks) => Object.keys(marks)));
  const colour = (loading) => loading < 0 ? "lx" : `l${map.steps.filter((step) => loading > step).length}`;
  const draw = () => {
    const mtu = Number(slider.value);
    const state = document.querySelector("input[name=state]:checked").value;
    const rows = map[state];
    const marks = map.marks[state === "before" ? 0 : 1];
    let worst = -1;
    lines.forEach((line, n) => {
      const loading = rows[n][mtu];
      line.setAttribute("class", `wire ${colour(loading)}`);
      titles[n].textContent = loading < 0 ? about[n] : `${about[n]}: ${loading} %`;
      if (worst < 0 || loading > rows[worst][mtu]) worst = n;
    });
    let past = 0;
    buses.forEach((id) => {
      const here = (marks[id] || []).includes(mtu);
      past += here;
      document.getElementById(id).classList.toggle("past", here);
    });
    document.getElementById("mtu-time").textContent = times[mtu];
    slider.setAttribute("aria-valuetext", times[mtu]);
    const over = rows.filter((row) => row[mtu] > 100).length;
    const top = worst < 0 || rows[worst][mtu] < 0 ? "" : ` Highest: ${map.names[worst]} at ${rows[worst][mtu]} %.`;
    const when = state === "before" ? "before the market" : "after the market";
    document.getElementById("map-told").textContent =
      `${times[mtu]}, ${when}. Past their rating: ${over} of the branches drawn; past a limit: ${past} of the buses and connections.${top}`;
  };
  slider.addEventListener("input", draw);
  document.querySelectorAll("input[name=state]").forEach((input) => input.addEventListener("change", draw));
  draw();
})();
