// The background of STAC Browser's maps: land and sea from Natural Earth, with a grid. Nothing is fetched from elsewhere.
import TopoJSON from "ol/format/TopoJSON.js";
import Graticule from "ol/layer/Graticule.js";
import Group from "ol/layer/Group.js";
import VectorLayer from "ol/layer/Vector.js";
import VectorSource from "ol/source/Vector.js";
import { Fill, Stroke, Style, Text } from "ol/style.js";

const SEA = "#dde8ec";
const LAND = "#f4f2ea";
const COAST = "#b3bfb9";
const GRID = "rgba(60, 80, 90, 0.22)";

async function landLayer(projection) {
  const { default: land } = await import("world-atlas/land-50m.json");
  const features = new TopoJSON().readFeatures(land, { dataProjection: "EPSG:4326", featureProjection: projection });
  return new VectorLayer({
    source: new VectorSource({ features, attributions: "Made with Natural Earth" }),
    background: SEA,
    style: new Style({ fill: new Fill({ color: LAND }), stroke: new Stroke({ color: COAST, width: 1 }) }),
  });
}

function gridLayer() {
  const label = (place) => new Text({ font: "11px sans-serif", fill: new Fill({ color: "#5b6764" }), ...place });
  return new Graticule({
    showLabels: true,
    strokeStyle: new Stroke({ color: GRID, width: 1 }),
    lonLabelStyle: label({ textBaseline: "bottom" }),
    latLabelStyle: label({ textAlign: "end", textBaseline: "bottom" }),
    wrapX: false,
  });
}

// Takes the place of the layer that STAC Browser makes from `is`.
async function background(layer, source, map) {
  const layers = [await landLayer(map.getView().getProjection()), gridLayer()];
  return new Group({ layers, title: "Natural Earth", base: true });
}

export default function configureBasemap() {
  return [{ is: "Vector", title: "Natural Earth", projection: "EPSG:3857", layerCreated: background }];
}
