// Show the effect of the chosen option on the balance, and offer either the purchase or a top-up.
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
// On a return to the page, the browser restores the choice first.
addEventListener("pageshow", show);
show();
// From now on, it is the outcome of what is chosen.
for (const outcomes of document.querySelectorAll(".outcomes")) outcomes.hidden = false;
