// How STAC Browser names and shows the fields of models and of the lab, which it does not know by itself.
import { Registry } from "@radiantearth/stac-fields";
import { e, toObject } from "@radiantearth/stac-fields/helper";

const WORDS = { miou: "mIoU", iou: "IoU", roc: "ROC", auc: "AUC", f1: "F1", r2: "R²" };

const words = (key) => e(key.split("_").map((word) => WORDS[word] ?? word).join(" "));
const number = (value) => (typeof value === "number" ? e(Number(value.toPrecision(4)).toLocaleString()) : e(String(value)));
const list = (values) => e((values ?? []).map((value) => value?.name ?? value).join(", "));
const measures = (value) => toObject(value ?? {}, number, words);
const tensor = (value) => e(`${(value.dim_order ?? []).join(" × ")}: ${(value.shape ?? []).join(" × ")} ${value.data_type}`);

function scaling(value) {
  const steps = (value ?? []).map(({ type, ...rest }) =>
    `${type} (${Object.entries(rest).map(([key, part]) => `${key} ${number(part)}`).join(", ")})`);
  return e([...new Set(steps)].join("; "));
}

Registry.addExtension("lab", "This lab");
Registry.addExtension("mlm", "Machine learning model");
Registry.addExtension("ml-aoi", "Training data");

Registry.addMetadataFields({
  renders: { label: "Shown as", formatter: (value) => list(Object.entries(value).map(([name, one]) => one.title ?? name)) },

  "lab:metrics": { label: "Metrics", formatter: measures },
  "lab:baseline": { label: "Pixel baseline", formatter: measures },
  "lab:class_counts": { label: "Pixels by class", formatter: measures },
  "lab:aliases": { label: "Aliases", formatter: (value) => list(value) || "–" },
  "lab:dvc_rev": "Revision of the versions repository",
  "lab:dvc_tree": "DVC tree",
  "lab:git_sha": "Version of the code",
  "lab:valid_share": "Share of valid pixels",
  "lab:started": { label: "Started", format: "Timestamp" },
  "lab:finished": { label: "Finished", format: "Timestamp" },

  "mlm:input": {
    label: "Input",
    summary: false,
    items: {
      name: { label: "Name", id: true },
      bands: { label: "Bands", order: 1, formatter: list },
      input: { label: "Tensor", order: 2, formatter: tensor },
      value_scaling: { label: "Scaling", order: 3, formatter: scaling },
    },
  },
  "mlm:output": {
    label: "Output",
    summary: false,
    items: {
      name: { label: "Name", id: true },
      "classification:classes": { label: "Classes", order: 1, formatter: list },
      result: { label: "Tensor", order: 2, formatter: tensor },
    },
  },
  "mlm:memory_size": { label: "Memory", format: "FileSize" },
  "mlm:total_parameters": { label: "Parameters", formatter: number },
  "mlm:batch_size_suggestion": "Batch size",
});
