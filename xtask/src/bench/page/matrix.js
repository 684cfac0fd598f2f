
// The matrix: which rows are shown, in which order, and how the keyboard moves in it.
document.documentElement.classList.add("has-script");
const data = JSON.parse(document.getElementById("data").textContent);

{
  const body = document.querySelector(".matrix tbody");
  const original = [...body.children];
  const rows = [...body.querySelectorAll("tr.row")];
  const known = new Map(data.rows.map((row) => [row.name, row]));
  const of = (tr) => known.get(tr.dataset.name);
  const titles = [...document.querySelectorAll(".titles [aria-sort]")];

  // Which rows are shown. Strategies and ways to compute choose among our rows only.
  const chips = [...document.querySelectorAll(".chip[data-kind]")];
  const text = document.getElementById("filter");

  const isWanted = (row) => {
    const fits = (kind) => {
      const pressed = chips.filter((chip) =>
        chip.dataset.kind === kind && chip.getAttribute("aria-pressed") === "true");
      return row[kind] === null || pressed.length === 0
        || pressed.some((chip) => chip.dataset.value === row[kind]);
    };
    return ["family", "strategy", "compute"].every(fits)
      && row.name.toLowerCase().includes(text.value.trim().toLowerCase());
  };

  const show = () => {
    rows.forEach((tr) => { tr.hidden = !isWanted(of(tr)); });
    const shown = rows.filter((tr) => !tr.hidden);
    const isSorted = titles.some((title) => title.ariaSort !== "none");
    for (const group of body.querySelectorAll(".group")) {
      group.hidden = isSorted || !shown.some((tr) => of(tr).family === group.dataset.family);
    }
    body.classList.toggle("sorted", isSorted);
    document.getElementById("shown").textContent = `${shown.length} of ${rows.length} rows`;
    rove();
  };

  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") !== "true");
      show();
    });
  }
  text.addEventListener("input", show);
  text.form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("all").addEventListener("click", () => {
    chips.forEach((chip) => chip.setAttribute("aria-pressed", "false"));
    text.value = "";
    show();
  });

  // A title sorts by its column: the best first, then the worst first, then as it was.
  const sort = (at) => {
    const best = data.columns[at].better === "higher" ? "descending" : "ascending";
    const worst = best === "descending" ? "ascending" : "descending";
    const next = { none: best, [best]: worst, [worst]: "none" }[titles[at].ariaSort];
    titles.forEach((title, index) => { title.ariaSort = index === at ? next : "none"; });
    const sign = next === "ascending" ? 1 : -1;
    const value = (tr) => of(tr).cells[at]?.of?.[1];
    // What has no number comes last in either order.
    const before = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return sign * (x - y);
    };
    body.append(...(next === "none" ? original : [...rows].sort(before)));
    show();
  };
  titles.forEach((title, at) => title.firstElementChild.addEventListener("click", () => sort(at)));

  // One cell at a time is in the order of the tab key; arrows move from cell to cell.
  let current = null;
  const rove = (cell = current) => {
    const isHere = cell?.isConnected && !cell.closest("tr").hidden;
    current = isHere ? cell : body.querySelector("tr.row:not([hidden]) td button");
    body.querySelectorAll("td button").forEach((it) => { it.tabIndex = it === current ? 0 : -1; });
  };
  body.addEventListener("focusin", (event) => {
    if (event.target.matches("td button") && event.target !== current) rove(event.target);
  });
  const cells = (tr) => [...tr.querySelectorAll("td button")];
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  body.addEventListener("keydown", (event) => {
    const [down, right] = moves[event.key] ?? [];
    if (down === undefined || !event.target.matches("td button")) return;
    event.preventDefault();
    const here = event.target.closest("tr");
    const at = cells(here).indexOf(event.target) + right;
    const open = [...body.querySelectorAll("tr.row:not([hidden])")].filter((tr) => cells(tr).length);
    cells(open[open.indexOf(here) + down] ?? here)[at]?.focus();
  });

  show();
}
