// The map of the grid: loading of every branch in the MTU of the slider, before or after the market.
(() => {
  const data = (id) => JSON.parse(document.getElementById(id).textContent);
  const times = data("times");
  const map = data("map-data");
  const figure = document.getElementById("map");
  const slider = document.getElementById("mtu");
  const lines = map.branches.map((branch) => [...figure.querySelectorAll(`[data-b="${branch}"]`)]);
  const titles = lines.map((drawn) => drawn[0].querySelector("title"));
  const about = titles.map((title) => title.textContent);
  const buses = [...new Set(map.marks.flatMap((marks) => Object.keys(marks)))];
  const circles = new Map(buses.map((bus) => [bus, [...figure.querySelectorAll(`[data-n="${bus}"]`)]]));
  const colour = (loading) => (loading < 0 ? "lx" : `l${map.steps.filter((step) => loading > step).length}`);
  const draw = () => {
    const mtu = Number(slider.value);
    const state = document.querySelector("input[name=state]:checked").value;
    const rows = map[state];
    const marks = map.marks[state === "before" ? 0 : 1];
    let worst = -1;
    lines.forEach((drawn, n) => {
      const loading = rows[n][mtu];
      for (const line of drawn) line.setAttribute("class", `wire ${colour(loading)}`);
      titles[n].textContent = loading < 0 ? about[n] : `${about[n]}: ${loading} %`;
      if (worst < 0 || loading > rows[worst][mtu]) worst = n;
    });
    let past = 0;
    for (const [bus, drawn] of circles) {
      const here = (marks[bus] || []).includes(mtu);
      past += here;
      for (const circle of drawn) circle.classList.toggle("past", here);
    }
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
