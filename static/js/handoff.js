// Without a script, the page's button does it. Back leads to the page of the token, never to a form that was sent.
const form = document.getElementById("opening");
history.replaceState(null, "", form.dataset.back);
form.submit();
