// Charts that can be read out, MTU by MTU, with the pointer or the arrow keys.
(() => {
  const times = JSON.parse(document.getElementById("times").textContent);
  const shown = (value) => (value === null ? "–" : String(Math.round(value * 1000) / 1000).replace("-", "\u2212"));
  const chart = (figure) => {
    const told = JSON.parse(figure.dataset.readout);
    const out = figure.querySelector(".readout");
    let at = -1;
    const cursors = [...figure.querySelectorAll("svg")].map((svg) => {
      const left = Number(svg.dataset.left);
      const step = Number(svg.dataset.inner) / times.length;
      const cursor = document.createElementNS(svg.namespaceURI, "rect");
      const look = { class: "cursor", y: 26, height: svg.viewBox.baseVal.height - 52, width: Math.max(step, 1), visibility: "hidden" };
      for (const [name, value] of Object.entries(look)) cursor.setAttribute(name, value);
      svg.append(cursor);
      svg.addEventListener("pointermove", (event) => {
        const box = svg.getBoundingClientRect();
        const x = ((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width;
        show(Math.floor((x - left) / step));
      });
      return (mtu) => {
        cursor.setAttribute("x", left + mtu * step);
        cursor.setAttribute("visibility", "visible");
      };
    });
    const show = (mtu) => {
      at = Math.min(Math.max(mtu, 0), times.length - 1);
      cursors.forEach((move) => move(at));
      out.textContent = `${times[at]}: ${told.series.map(([name, row]) => `${name} ${shown(row[at])} ${told.unit}`).join(", ")}`;
    };
    out.textContent = "Point at the chart, or use its arrow keys, to read it out.";
    figure.querySelector(".scroll").addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      show(at < 0 ? 0 : at + move);
    });
  };
  document.querySelectorAll("figure[data-readout]").forEach(chart);
})();
