// Paper is white: a page that is read in the dark prints in the light.
const { dataset } = document.documentElement;
let theme = dataset.theme;
addEventListener("beforeprint", () => { theme = dataset.theme; dataset.theme = "light"; });
addEventListener("afterprint", () => { dataset.theme = theme; });
