// Copies the command; where a browser does not let a file do that, it selects it.
document.getElementById("copy").addEventListener("click", async (event) => {
  const command = document.getElementById("command");
  try {
    await navigator.clipboard.writeText(command.textContent);
    event.target.textContent = "Copied";
  } catch {
    const range = document.createRange();
    range.selectNodeContents(command);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    event.target.textContent = "Selected";
  }
});
