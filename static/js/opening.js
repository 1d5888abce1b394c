// Without a script, the page's button does it.
document.getElementById("opening").submit();
