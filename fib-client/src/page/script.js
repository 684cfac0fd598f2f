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
