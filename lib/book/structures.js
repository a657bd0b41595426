// Structures that can be turned with the mouse: NGL draws over the still picture, which stays
// where there is no WebGL. Nothing is fetched but ngl.js beside this file.
const folder = document.currentScript.src.replace(/[^/]*$/, "");

function hasWebGL() {
  return Boolean(document.createElement("canvas").getContext("webgl"));
}

async function show(figure) {
  figure.classList.add("alive"); // first, for a stage takes the size that it has
  const stage = new NGL.Stage(figure.querySelector(".stage"), { backgroundColor: "white" });
  const atoms = new Blob([figure.querySelector("script").textContent], { type: "text/plain" });
  const options = { ext: "pdb", asTrajectory: true };
  const component = await stage.loadFile(atoms, options);
  component.addRepresentation("ball+stick");
  component.addRepresentation("unitcell");
  component.autoView();
  const slider = figure.querySelector("input");
  if (slider) {
    const frames = component.addTrajectory().trajectory;
    slider.oninput = () => frames.setFrame(Number(slider.value));
  }
}

document.addEventListener("DOMContentLoaded", () => {
  const figures = document.querySelectorAll("figure.structure");
  if (!figures.length || !hasWebGL()) return;
  // ngl.js is nglview's bundle, an AMD module of Jupyter widgets; of these it needs names only
  window.define = (names, module) => module(new Proxy({}, { get: () => class {} }));
  const script = document.createElement("script");
  script.src = `${folder}ngl.js`;
  script.onload = () => {
    delete window.define;
    NGL.useWorker = false; // a page from disk may start none
    figures.forEach(show);
  };
  document.head.append(script);
});
