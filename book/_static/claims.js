// Filters of the claims ledger. Without scripts all claims are shown.
document.addEventListener("DOMContentLoaded", () => {
  const ledger = document.querySelector(".ledger");
  if (!ledger) return;
  const claims = [...ledger.querySelectorAll(".claim")];
  const filters = [...ledger.querySelectorAll("[data-filter]")];
  const show = () => {
    let shown = 0;
    for (const claim of claims) {
      const fits = filters.every(({ dataset, value }) =>
        !value || (dataset.filter === "text"
          ? claim.textContent.toLowerCase().includes(value.toLowerCase())
          : claim.dataset[dataset.filter] === value));
      claim.hidden = !fits;
      shown += fits;
    }
    ledger.querySelector("output").textContent = `${shown} of ${claims.length} claims`;
  };
  const open = () => {  // a link such as 00_claims.html#ladder-03 opens its claim
    const claim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (claim?.matches(".claim")) {
      claim.open = true;
      claim.scrollIntoView();
    }
  };
  const given = new URLSearchParams(location.search);  // and ?verdict=open filters
  for (const filter of filters) filter.value = given.get(filter.dataset.filter) ?? "";
  ledger.querySelector(".ledger-filters").addEventListener("input", show);
  addEventListener("hashchange", open);
  show();
  open();
});
