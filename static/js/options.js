// Shows what the chosen option means for the balance, and offers either the purchase or the top-up.
const inputs = document.querySelectorAll("[data-options] input");
const buy = document.querySelector("[data-buy]");

function show() {
  for (const input of inputs) {
    const outcome = document.getElementById(input.dataset.outcome);
    outcome.hidden = !input.checked;
    if (input.checked) buy.hidden = "short" in outcome.dataset;
  }
}

for (const input of inputs) input.addEventListener("change", show);
// Once the browser has put back what was chosen before one left the page and came back to it.
addEventListener("pageshow", show);
show();
