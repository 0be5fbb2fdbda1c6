// The map of the grid: loading of every branch in the MTU of its slider, before or after the market. `figure` has the
// drawings, the slider and its output, the choice of the state and a readout; `say` puts into words what is seen.
const drawMap = (figure, map, times, say) => {
  const slider = figure.querySelector("input[type=range]");
  const lines = map.branches.map((branch) => [...figure.querySelectorAll(`[data-b="${branch}"]`)]);
  const titles = lines.map((drawn) => drawn[0].querySelector("title"));
  const about = titles.map((title) => title.textContent);
  const buses = [...new Set(map.marks.flatMap((marks) => Object.keys(marks)))];
  const circles = new Map(buses.map((bus) => [bus, [...figure.querySelectorAll(`[data-n="${bus}"]`)]]));
  const colour = (loading) => (loading < 0 ? "lx" : `l${map.steps.filter((step) => loading > step).length}`);
  const draw = () => {
    const mtu = Number(slider.value);
    const state = figure.querySelector("input[type=radio]:checked").value;
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
    figure.querySelector("output").textContent = times[mtu];
    slider.setAttribute("aria-valuetext", times[mtu]);
    const over = rows.filter((row) => row[mtu] > 100).length;
    const top = worst < 0 || rows[worst][mtu] < 0 ? null : { name: map.names[worst], loading: rows[worst][mtu] };
    figure.querySelector(".readout").textContent = say({ time: times[mtu], state, over, past, top });
  };
  slider.addEventListener("input", draw);
  figure.querySelectorAll("input[type=radio]").forEach((input) => input.addEventListener("change", draw));
  draw();
};
