// STAC Browser's own settings, and what all labs share; what depends on the lab comes at run time (catalog/browser.py).
const defaults = require("./defaults.config.js");

// Links between items, by what they say of the item that has them.
const TITLES = {
  derived_from: "Made from",
  source: "Made from",
  "processing-execution": "Made by",
  "lab:produced": "Made",
  "lab:members": "Chips",
};

// Name links by the item that they lead to, and let them open here rather than as JSON.
function nameLinks(stac) {
  for (const link of stac.links ?? []) {
    const [, collection, item] = /\/collections\/([^/?#]+)\/items(?:\/([^/?#]+))?$/.exec(link.href) ?? [];
    if (!collection || !(link.rel in TITLES)) {
      continue;
    }
    link.title = link.title ?? `${TITLES[link.rel]} ${collection}${item ? `/${item}` : ""}`;
    if (item && !["derived_from", "source"].includes(link.rel)) {
      link.rel = "related";
    }
  }
  return stac;
}

// Tiles are images, which a browser asks for without the caller's key: where there is one, fetch them as all else.
async function withKey(type, options) {
  const store = document.getElementById("stac-browser")?.__vue__?.$store;
  const headers = store?.state.requestHeaders ?? {};
  if (Object.keys(headers).length === 0 || store.getters.isExternalUrl(options.url)) {
    return options;
  }
  const keyed = { ...options, tileLoadFunction: (tile, address) => loadTile(tile, address, headers) };
  if (type.name === "TileJSON") {
    keyed.tileJSON = await (await fetch(options.url, { headers })).json();
    delete keyed.url;
  }
  return keyed;
}

async function loadTile(tile, address, headers) {
  const answer = await fetch(address, { headers }).catch(() => null);
  if (!answer?.ok) {
    tile.setState(3); // ol/TileState.ERROR; so a tile outside the image
    return;
  }
  const image = tile.getImage();
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  image.src = URL.createObjectURL(await answer.blob());
}

module.exports = {
  ...defaults,
  pathPrefix: "./",
  historyMode: "hash",
  catalogTitle: "TerraLab",
  allowExternalAccess: false,
  socialSharing: [],
  // Plots have the role `overview`, and are no maps; rasters come as tiles.
  displayPreview: false,
  displayOverview: false,
  preprocessSTAC: nameLinks,
  getMapSourceOptions: withKey,
};
