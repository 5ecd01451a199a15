// Sets the chosen colours before anything is painted, so that a dark page never flashes white. Loaded as a plain script.
(() => {
  const chosen = localStorage.getItem("recoup.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
