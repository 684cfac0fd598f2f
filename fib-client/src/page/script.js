// What every page does.

// Copies the command beside a button; where a browser does not let a file do that, it selects it.
document.addEventListener("click", async (event) => {
  const button = event.target.closest(".command button");
  if (!button) return;
  const command = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(command);
    button.textContent = "Selected";
  }
});

// What a dot of a chart says, at once, and to a finger, too.
{
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  document.addEventListener("pointerover", ({ target }) => {
    const title = target.closest("circle")?.querySelector("title");
    if (title) {
      target.dataset.told = title.textContent;
      title.remove(); // the browser would say it again
    }
    if (!target.dataset?.told) return tip.remove();
    tip.textContent = target.dataset.told;
    document.body.append(tip);
    const { left, top } = target.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(8, top - tip.offsetHeight - 6)}px`;
  });
}
