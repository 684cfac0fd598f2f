
// The panel: all there is to say of one cell.
{
  const panel = document.getElementById("panel");
  const part = (name) => document.getElementById(`panel-${name}`);
  let opener = null;

  // An element; text is text, whatever is in it.
  const make = (tag, name, ...children) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...children);
    return element;
  };

  const told = ({ decimals }, value) => value.toLocaleString("en-US",
    { minimumFractionDigits: decimals, maximumFractionDigits: decimals });

  // The factor by which a value is better than another; below 1 it is worse.
  const better = (column, value, other) => column.better === "higher" ? value / other : other / value;

  const against = (column, cell, other, tell) => {
    if (cell.is_noise) {
      const floor = column.noise ? `, ${Math.round(100 * (column.noise - 1))} %` : "";
      return `Cannot be told from the default's ${tell(other.of[1])}: under the noise${floor}.`;
    }
    const factor = better(column, cell.of[1], other.of[1]);
    const size = Math.max(factor, 1 / factor);
    const times = Number.isFinite(size) ? `${size.toFixed(size < 10 ? 2 : 0)}× ` : "";
    return `${times}${factor >= 1 ? "better" : "worse"} than the default's ${tell(other.of[1])}.`;
  };

  // Intervals on one logarithmic scale: this one, the default's, the best of the column.
  const strips = (at, row) => {
    const column = data.columns[at];
    const numbers = data.rows.filter((it) => it.cells[at]?.of);
    const fallback = data.rows.find((it) => it.is_default);
    const best = numbers.reduce((a, b) =>
      better(column, b.cells[at].of[1], a.cells[at].of[1]) > 1 ? b : a);
    const shown = [[row, "this"], [fallback, "default"], [best, "best"]].filter(([it], index, all) =>
      it?.cells[at]?.of && all.findIndex(([other]) => other === it) === index);
    const values = shown.flatMap(([it]) => it.cells[at].of).filter((value) => value > 0);
    const [from, to] = [Math.min(...values) / 1.1, Math.max(...values) * 1.1];
    const place = (value) => value > 0 ? 100 * Math.log(value / from) / Math.log(to / from) : 0;
    const strip = ([it, name]) => {
      const [low, median, high] = it.cells[at].of.map(place);
      const bar = make("span", "strip");
      const interval = make("i", "interval");
      interval.style.cssText = `left:${low}%;width:${Math.max(high - low, 0.6)}%`;
      const dot = make("i", "median");
      dot.style.left = `${median}%`;
      bar.append(interval, dot);
      const title = make("span", "faint", name === "best" ? `best: ${it.name}` : name);
      return make("div", "strip-row", title, bar);
    };
    return shown.map(strip);
  };

  const number = (row, at) => {
    const [column, cell] = [data.columns[at], row.cells[at]];
    const plain = (value) => told(column, value);
    const tell = (value) => `${plain(value)} ${column.unit}`;
    if (cell.nothing) return [make("p", "large", "no number"), make("p", "", `${cell.nothing}.`)];
    const [low, median, high] = cell.of;
    const runs = `${data.repetitions} repetition${data.repetitions === 1 ? "" : "s"}`;
    const parts = [
      make("p", "large", tell(median)),
      make("p", "faint", `median of ${runs}; from ${plain(low)} to ${tell(high)}`),
    ];
    if (cell.note) parts.push(make("p", "doubt", `* ${cell.note}`));
    const other = data.rows.find((it) => it.is_default)?.cells[at];
    if (other?.of && !row.is_default) parts.push(make("p", "", against(column, cell, other, tell)));
    return [...parts, ...strips(at, row)];
  };

  const about = ({ about, scenario, better, noise }) => [
    make("h3", "", "How it is measured"),
    make("p", "", about),
    make("p", "faint", [
      scenario,
      `${better === "higher" ? "more" : "less"} is better`,
      noise ? `noise floor ${Math.round(100 * (noise - 1))} %` : "noise floor not known",
    ].join(" · ")),
  ];

  // A line breaks between words only: half a flag is no flag.
  const command = (lines) => {
    const words = lines.join("\n").split(/(\s+)/);
    const text = words.map((it) => it.trim() ? make("span", "word", it) : it);
    const button = make("button", "", "Copy");
    button.type = "button";
    return make("div", "command", make("code", "", ...text), button);
  };

  const commands = (row, column) => [
    make("h3", "", "Again by hand"),
    make("p", "faint", "the server"),
    command([row.command]),
    make("p", "faint", "and in another terminal"),
    command(column.commands),
  ];

  const open = (cell) => {
    const td = cell.closest("td");
    const row = data.rows.find((it) => it.name === td.parentElement.dataset.name);
    const at = [...td.parentElement.querySelectorAll("td")].indexOf(td);
    const column = data.columns[at];
    document.querySelector(".matrix .open")?.classList.remove("open");
    td.classList.add("open");
    opener = cell;
    part("title").replaceChildren(`${row.name} · ${column.title}`);
    part("number").replaceChildren(...number(row, at));
    part("about").replaceChildren(...about(column));
    part("commands").replaceChildren(...commands(row, column));
    if (!panel.open) panel.show();
    part("title").focus({ preventScroll: true });
    // The cell must not lie behind the panel that tells of it.
    const hidden = cell.getBoundingClientRect().bottom + panel.offsetHeight + 12 - innerHeight;
    if (hidden > 0) scrollBy({ top: hidden });
  };

  const close = () => {
    panel.close();
    document.querySelector(".matrix .open")?.classList.remove("open");
    opener?.focus({ preventScroll: true });
  };

  document.querySelector(".matrix tbody").addEventListener("click", (event) => {
    const cell = event.target.closest("td button");
    if (cell) open(cell);
  });
  part("close").addEventListener("click", close);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && panel.open) close();
  });
}
