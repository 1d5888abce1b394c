// Submit the form at once. Without scripts, the user presses the button.
// The Back button then leads to the token page instead of this form.
const form = document.getElementById("handoff");
history.replaceState(null, "", form.dataset.back);
form.submit();
