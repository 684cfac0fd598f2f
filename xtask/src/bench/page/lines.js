
// The lines of the charts that the reader chooses rows for: each has the first colour that is free.
{
  const picker = document.getElementById("picker");
  const lines = [...document.querySelectorAll(".pair .series")];
  const colours = 16;
  const colourOf = (label) => [...label.querySelector(".swatch").classList]
    .find((name) => /^c\d+$/.test(name));

  const choose = ({ target }) => {
    const taken = [...picker.querySelectorAll("label")]
      .filter((label) => label.firstElementChild.checked && label !== target.parentElement)
      .map(colourOf);
    const all = Array.from({ length: colours }, (_, index) => `c${index}`);
    const colour = all.find((it) => !taken.includes(it)) ?? all.at(-1);
    if (target.checked) target.parentElement.querySelector(".swatch").className = `swatch ${colour}`;
    for (const line of lines.filter((it) => it.dataset.name === target.value)) {
      line.toggleAttribute("hidden", !target.checked);
      if (target.checked) line.setAttribute("class", `series ${colour}`);
    }
  };

  picker?.addEventListener("change", choose);
  document.getElementById("choose")?.addEventListener("click", ({ currentTarget }) => {
    const isOpen = picker.classList.toggle("open");
    currentTarget.setAttribute("aria-expanded", isOpen);
    currentTarget.textContent = isOpen ? "done" : "choose rows";
  });
}
