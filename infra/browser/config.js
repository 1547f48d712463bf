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
};
